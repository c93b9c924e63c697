// Asks for status.json again and again and draws it. Whatever came from a client is only ever put in as text.
"use strict";

const kEveryMs = 2000;
const kKept = 150;  // samples: five minutes
const history = [];
let latest = null;

function make(tag, classes, text) {
  const node = document.createElement(tag);
  if (classes) node.className = classes;
  if (text !== undefined) node.textContent = text;
  return node;
}
const at = (id) => document.getElementById(id);
const number = (n) => n.toLocaleString("en");
function rate(n) { return n >= 100 || Number.isInteger(n) ? number(Math.round(n)) : n >= 10 ? n.toFixed(1) : n.toFixed(2); }
function time(ms) {
  if (ms < 0) return "-" + time(-ms);
  if (ms < 1000) return ms + " ms";
  const s = ms / 1000;
  if (s < 60) return s.toFixed(s < 10 ? 1 : 0) + " s";
  if (s < 3600) return Math.floor(s / 60) + "m " + Math.floor(s % 60) + "s";
  if (s < 86400) return Math.floor(s / 3600) + "h " + Math.floor(s % 3600 / 60) + "m";
  return Math.floor(s / 86400) + "d " + Math.floor(s % 86400 / 3600) + "h";
}
function note(id, shown, all, cut) {
  at(id).textContent = cut ? `the first ${number(shown)} of ${all === null ? "more" : number(all)}` : number(shown);
}

// ---- Figures and rates

function showFigures(now) {
  const t = now.totals;
  const sessions = Object.values(t.sessions).reduce((sum, n) => sum + n, 0);
  const trouble = t.sessions.fencing + t.sessions.courtesy + t.sessions.returning;
  const away = Math.max(sessions - t.connected, trouble);
  const figures = [
    ["sessions", number(sessions), ""],
    ["of these silent", number(away), trouble ? "bad" : away ? "warn" : ""],
    ["locks held", number(t.held), ""],
    ["waiting", number(t.waiting), ""],
    ["longest wait", t.waiting ? time(t.oldest_wait_ms) : "–", t.oldest_wait_ms > 30000 ? "bad" : t.oldest_wait_ms > 5000 ? "warn" : ""],
    ["oldest lock", t.held ? (t.looked_at_all ? "" : "≥ ") + time(t.oldest_lock_ms) : "–", ""],
    ["tokens", number(t.tokens), ""],
    ["shortest lease", t.sessions.live ? time(t.lease_left_min_ms) : "–",
      t.sessions.live && t.lease_left_min_ms < now.lease_ttl_ms / 4 ? "warn" : ""],
  ];
  at("figures").replaceChildren(...figures.map(([label, value, tone]) => {
    const card = make("div", "figure");
    card.append(make("b", tone, value), make("span", "quiet", label));
    return card;
  }));
}

function perSecond(field) {
  return history.slice(1).map((sample, i) => {
    const before = history[i];
    const seconds = (sample.when - before.when) / 1000;
    const grown = sample.counters[field] - before.counters[field];
    return seconds > 0 && grown >= 0 ? grown / seconds : 0;  // less: another life of lockd
  });
}
const kRates = [
  ["messages/s", () => perSecond("messages")],
  ["locks granted/s", () => perSecond("grants")],
  ["refused at once/s", () => perSecond("denials")],
  ["waiting", () => history.map((sample) => sample.waiting)],
  ["mean wait, ms", () => history.slice(1).map((sample, i) => {
    const ended = sample.counters.waits_ended - history[i].counters.waits_ended;
    return ended > 0 ? (sample.counters.waits_us - history[i].counters.waits_us) / ended / 1000 : 0;
  })],
  ["recalls/s", () => perSecond("recalls")],
];
const kSvg = "http://www.w3.org/2000/svg";
function spark(values) {
  const svg = document.createElementNS(kSvg, "svg");
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const top = Math.max(...values, 1e-9);
  const step = 100 / (Math.min(kKept, Math.max(values.length, 30)) - 1);  // a minute, and more as it goes
  const points = values.map((value, i) => {
    const x = 100 - (values.length - 1 - i) * step;
    return `${x.toFixed(2)},${(38 - 36 * value / top).toFixed(2)}`;
  });
  if (points.length < 2) return svg;
  const area = document.createElementNS(kSvg, "polygon");
  const left = 100 - (values.length - 1) * step;
  area.setAttribute("points", `${left.toFixed(2)},38 ${points.join(" ")} 100,38`);
  const line = document.createElementNS(kSvg, "polyline");
  line.setAttribute("points", points.join(" "));
  svg.append(area, line);
  return svg;
}
function showRates() {
  at("rates").replaceChildren(...kRates.map(([label, read]) => {
    const values = read();
    const card = make("div", "rate");
    const head = make("div");
    const last = values.length ? values[values.length - 1] : 0;
    head.append(make("span", "quiet", label), make("b", "", rate(last)));
    card.append(head, spark(values));
    if (values.length > 1) card.title = `at most ${rate(Math.max(...values))} in the last ${time(history[history.length - 1].when - history[0].when)}`;
    return card;
  }));
}

// ---- Who waits for whom

const ownerOf = (lock) => `${lock.session}/${lock.kind}/${lock.owner}`;
function range(lock) {
  if (lock.kind === "flock") return "flock";
  if (lock.start === "0" && lock.end === undefined) return "whole file";
  return `bytes ${lock.start}–${lock.end === undefined ? "end" : BigInt(lock.end) - 1n}`;
}
function describe(lock, waits) {
  const line = make("div");
  line.append(make("span", "who", `pid ${lock.pid}`), ` on ${lock.node || "?"} `,
    make("span", "tag " + (waits ? "warn" : lock.mode === "exclusive" ? "good" : "plain"), waits ? `waits ${time(lock.age_ms)}` : "holds"), " ",
    make("span", "quiet", `file ${lock.file}, ${lock.mode}, ${range(lock)}${waits ? "" : ", for " + time(lock.age_ms)}`));
  return line;
}
// An owner that waits stands below each owner that is in its way; who is in nobody's way stands below all of them.
function chains(now) {
  const waits = new Map();    // owner -> its waits
  const followers = new Map();  // owner -> waits that it blocks
  const holds = new Map();    // owner -> what it is in the way with, and does not wait for anything itself
  for (const wait of now.waits) {
    const owner = ownerOf(wait.wait);
    if (!waits.has(owner)) waits.set(owner, []);
    waits.get(owner).push(wait);
  }
  for (const wait of now.waits) {
    for (const blocker of wait.blockers) {
      const owner = ownerOf(blocker);
      if (!followers.has(owner)) followers.set(owner, []);
      followers.get(owner).push(wait);
      if (!waits.has(owner)) holds.set(owner, blocker);
    }
  }
  const drawn = new Set();
  const draw = (wait) => {
    const item = make("li");
    item.append(describe(wait.wait, true));
    const owner = ownerOf(wait.wait);
    if (drawn.has(owner)) {
      if (followers.has(owner)) item.append(make("span", "quiet", "drawn above"));
      return item;
    }
    drawn.add(owner);
    if (wait.blockers.length > 1 || wait.more)
      item.append(make("div", "quiet", `behind ${wait.blockers.length}${wait.more ? " or more" : ""} that are in its way`));
    const below = followers.get(owner) || [];
    if (below.length) {
      const list = make("ul");
      list.append(...below.map(draw));
      item.append(list);
    }
    return item;
  };
  const cards = [];
  const card = (volume, head, below) => {
    const box = make("div", "chain");
    const list = make("ul");
    const item = make("li");
    item.append(head);
    if (below.length) {
      const inner = make("ul");
      inner.append(...below.map(draw));
      item.append(inner);
    }
    list.append(item);
    box.append(make("div", "quiet", volume), list);
    cards.push(box);
  };
  for (const [owner, held] of holds) card(held.volume, describe(held, false), followers.get(owner) || []);
  for (const wait of now.waits) {
    if (drawn.has(ownerOf(wait.wait))) continue;
    drawn.add(ownerOf(wait.wait));
    card(wait.wait.volume, describe(wait.wait, true), (followers.get(ownerOf(wait.wait)) || []).filter((one) => !drawn.has(ownerOf(one.wait))));
  }
  return cards;
}
function showChains(now) {
  note("waits-note", now.waits.length, now.totals.waiting, now.waits_cut);
  const cards = chains(now);
  if (!cards.length) cards.push(make("div", "chain empty", "Nobody waits."));
  at("chains").replaceChildren(...cards);
}

// ---- Tables

function table(id, columns, rows, empty) {
  const head = make("tr");
  head.append(...columns.map(([label, kind]) => make("th", kind, label)));
  const top = make("thead");
  top.append(head);
  const body = make("tbody");
  for (const cells of rows) {
    const row = make("tr");
    row.append(...cells.map((cell, i) => {
      const node = make("td", columns[i][1]);
      node.append(cell);
      if (typeof cell === "string" && columns[i][1] === "name") node.title = cell;
      return node;
    }));
    body.append(row);
  }
  if (!rows.length) {
    const cell = make("td", "empty", empty);
    cell.colSpan = columns.length;
    const row = make("tr");
    row.append(cell);
    body.append(row);
  }
  at(id).replaceChildren(top, body);
}
const kTone = { live: "good", returning: "warn", courtesy: "warn", fencing: "bad", fenced: "plain" };
function phase(session) {
  const text = session.breaking ? "to be broken" : session.phase === "live" && !session.connected ? "live, not connected" : session.phase;
  return make("span", "tag " + (session.breaking || (session.phase === "live" && !session.connected) ? "warn" : kTone[session.phase]), text);
}
function showSessions(now) {
  const all = Object.values(now.totals.sessions).reduce((sum, n) => sum + n, 0);
  note("sessions-note", now.sessions.length, all, now.sessions_cut);
  table("sessions",
    [["node", "name"], ["mount point", "name"], ["volume", "name"], ["phase", ""], ["lease left", "n"], ["locks", "n"], ["waiting", "n"], ["tokens", "n"], ["files lost", "n"], ["session", ""]],
    // lockd lists them by lease, which would make rows jump: those in trouble first, then by name.
    [...now.sessions].sort((a, b) => (a.phase === "live" && a.connected) - (b.phase === "live" && b.connected) ||
      a.node.localeCompare(b.node) || a.mountpoint.localeCompare(b.mountpoint) || a.session.localeCompare(b.session)).map((s) => [s.node, s.mountpoint, s.volume, phase(s), s.phase === "live" ? time(s.lease_left_ms) : "–",
      number(s.locks), number(s.waiting), number(s.tokens), number(s.losses), s.session]),
    "No mount has connected yet.");
}
function showVolumes(now) {
  const volumes = new Map();
  for (const s of now.sessions) {
    const v = volumes.get(s.volume) || { sessions: 0, nodes: new Set(), locks: 0, waiting: 0, tokens: 0 };
    v.sessions += 1; v.nodes.add(s.node); v.locks += s.locks; v.waiting += s.waiting; v.tokens += s.tokens;
    volumes.set(s.volume, v);
  }
  at("volumes-note").textContent = now.sessions_cut ? "of the sessions below" : number(volumes.size);
  table("volumes", [["volume", "name"], ["nodes", "n"], ["mounts", "n"], ["locks", "n"], ["waiting", "n"], ["tokens", "n"]],
    [...volumes].sort(([a], [b]) => a < b ? -1 : 1).map(([name, v]) => [name || "?", number(v.nodes.size), number(v.sessions), number(v.locks), number(v.waiting), number(v.tokens)]),
    "None.");
}
function showLocks(now) {
  const wanted = at("search").value.trim().toLowerCase();
  const found = now.locks.filter((l) => !wanted || [l.node, l.volume, l.file, String(l.pid)].some((text) => text.toLowerCase().includes(wanted)));
  note("locks-note", found.length, wanted ? null : now.totals.held, now.locks_cut);
  table("locks", [["node", "name"], ["pid", "n"], ["volume", "name"], ["file", "n"], ["lock", ""], ["range", ""], ["for", "n"]],
    found.sort((a, b) => b.age_ms - a.age_ms).map((l) => [l.node, l.state === "wal" ? "–" : String(l.pid), l.volume, l.file,
      make("span", "tag " + (l.mode === "exclusive" ? "good" : "plain"), l.state === "wal" ? "WAL owner" : l.mode),
      l.state === "wal" ? "database" : range(l), time(l.age_ms)]),
    wanted ? "None of those listed." : "Nothing is locked.");
}

// ---- Asking

function notice(text, bad) {
  const line = at("notice");
  line.hidden = !text;
  line.textContent = text;
  line.className = "notice" + (bad ? " bad" : "");
}
function pill(text, tone) {
  at("state").textContent = text;
  at("state").className = "pill " + tone;
}
function show(now) {
  at("about").textContent = `version ${now.version}, up ${time(now.uptime_s * 1000)}` +
    (now.epoch ? `, epoch ${now.epoch}` : "") + (now.listening ? `, ${now.listening}` : "");
  if (now.state !== "active") {
    pill("does not serve", "warn");
    notice(`This lockd does not serve now: ${now.waits_for || "it starts"}.`, false);
    return;
  }
  if (now.stale) {
    pill("serves nobody", "bad");
    notice("The store is older than what mounts remember, so nobody is served. Put the latest store back; see lockd's log.", true);
  } else if (now.grace) {
    pill("waiting for mounts", "warn");
    notice("lockd has started, and new locks wait until every mount of before has said what it holds, or is fenced.", false);
  } else {
    pill("serving", "good");
    notice("", false);
  }
  history.push({ when: performance.now(), counters: now.counters, waiting: now.totals.waiting });
  if (history.length > kKept) history.shift();
  showFigures(now);
  showRates();
  showChains(now);
  showVolumes(now);
  showSessions(now);
  showLocks(now);
}
async function ask() {
  try {
    const answer = await fetch("status.json", { cache: "no-store" });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    latest = await answer.json();
    show(latest);
  } catch (error) {
    pill("no answer", "bad");
    notice(`lockd does not answer (${error.message}). What is shown below is old.`, true);
  }
  setTimeout(ask, kEveryMs);
}
at("search").addEventListener("input", () => { if (latest && latest.locks) showLocks(latest); });
ask();
