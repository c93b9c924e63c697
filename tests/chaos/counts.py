"""What one full run has to reach."""
WANTED = {
    "application killed": 500,
    "mount killed": 200,
    "mount stopped": 300,
    "client-lockd cut": 200,
    "client-NFS cut": 100,
    "lockd killed": 300,
    "lockd stopped": 100,
    "NFS server killed": 100,
    "all at once": 50,
    "wall clock jump": 20,
    "E1": 100,
    "E2": 100,
}
