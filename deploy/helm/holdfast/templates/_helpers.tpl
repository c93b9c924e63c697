{{/* Everything that follows takes the root as ".", or a list of it and one word more.
     Names are fixed: the driver's name is one for a cluster, so is the release. */}}

{{- define "holdfast.selector" -}}
app.kubernetes.io/name: holdfast
app.kubernetes.io/component: {{ . }}
{{- end }}

{{/* (list . "component") */}}
{{- define "holdfast.labels" -}}
{{ include "holdfast.selector" (index . 1) }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
{{- end }}

{{- define "holdfast.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* What the drivers' mounts get as lockd=. A Service for each replica: a mount must find the active one among them, and
     keeps its address when the pod gets another. */}}
{{- define "holdfast.lockdAddress" -}}
{{- if .Values.lockd.enabled -}}
{{- range $i := until (int .Values.lockd.replicas) -}}
{{- if $i }}/{{ end }}holdfast-lockd-{{ $i }}.{{ $.Release.Namespace }}.svc:7680
{{- end -}}
{{- else -}}
{{ required "lockd.address: where does holdfast-lockd run? (lockd.enabled is false)" .Values.lockd.address }}
{{- end -}}
{{- end }}

{{/* Root without rights, who only talks to a socket: the sidecars. Not another user: the socket is root's. */}}
{{- define "holdfast.sidecarSecurity" -}}
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* The driver's own liveness, told by the sidecar "liveness" of the same pod. */}}
{{- define "holdfast.livenessProbe" -}}
livenessProbe:
  httpGet: {path: /healthz, port: healthz}
  initialDelaySeconds: 10
  periodSeconds: 30
  timeoutSeconds: 10
  failureThreshold: 4
{{- end }}

{{- define "holdfast.livenessContainer" -}}
- name: liveness
  image: {{ .Values.sidecars.registry }}{{ .Values.sidecars.livenessProbe }}
  args: [--csi-address=/csi/csi.sock, "--http-endpoint=:9808"]
  securityContext:
    {{- include "holdfast.sidecarSecurity" . | nindent 4 }}
  resources:
    {{- toYaml .Values.sidecars.resources | nindent 4 }}
  volumeMounts:
    - {name: socket, mountPath: /csi}
{{- end }}

{{/* lockd's own word, through its loop: that the port is open would say nothing. A standby answers too, and says that it
     is one: then it is as well as it can be. */}}
{{- define "holdfast.askLockd" -}}
exec:
  command: [sh, -c, 'said=$(holdfast sessions 2>&1) || case $said in (*"is a standby"*) ;; (*) echo "$said"; exit 1 ;; esac']
timeoutSeconds: 10
{{- end }}
