// What the page does beyond links and forms. Everything here has a plain form or link behind it.
import { STYLES, drawCurves } from "/static/curve.js";

const byId = (id) => document.getElementById(id);

// Nothing that costs happens without asking, and no form is sent twice.
for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.confirm && !window.confirm(form.dataset.confirm)) { event.preventDefault(); return; }
    if (form.id !== "upload") setTimeout(() => form.querySelectorAll("button").forEach((button) => { button.disabled = true; }));
  });
}
window.addEventListener("pageshow", (event) => { if (event.persisted) window.location.reload(); });

// A link printed by `recommend serve` carries the key behind the #, which no server sees. It is not sent by itself: a
// link of somebody else's would silently replace the session by one that its author can look into.
const login = byId("login");
if (login && window.location.hash.startsWith("#key=")) {
  byId("key").value = decodeURIComponent(window.location.hash.slice(5));
  history.replaceState(null, "", window.location.pathname);
  byId("login-link").hidden = false;
}

const upload = byId("upload");
if (upload) {
  const said = byId("upload-said"), bar = byId("upload-progress"), input = byId("file"), button = upload.querySelector("button");
  const send = (file) => {
    const form = new FormData();
    form.append("task", byId("task").value);
    form.append("file", file, file.name);
    const request = new XMLHttpRequest();
    bar.hidden = false; bar.value = 0; button.disabled = true;
    said.className = ""; said.textContent = `Uploading ${file.name} …`;
    request.upload.onprogress = (event) => { if (event.lengthComputable) bar.value = event.loaded / event.total; };
    request.upload.onload = () => { bar.removeAttribute("value"); said.textContent = "Reading and checking it …"; };
    const fail = (text) => { bar.hidden = true; button.disabled = false; said.className = "notice bad"; said.textContent = text; };
    request.onerror = () => fail("The connection was lost.");
    request.onload = () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* no JSON: the status says enough */ }
      if (request.status === 200 || request.status === 201) window.location.assign(`/datasets/${answer.id}`);
      else fail([answer.detail || `Refused with status ${request.status}.`, answer.remedy].filter(Boolean).join(" "));
    };
    request.open("POST", "/v1/datasets");
    request.send(form);
  };
  upload.addEventListener("submit", (event) => { event.preventDefault(); if (input.files.length) send(input.files[0]); });
  for (const kind of ["dragenter", "dragover"]) upload.addEventListener(kind, (event) => { event.preventDefault(); upload.classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) upload.addEventListener(kind, () => upload.classList.remove("over"));
  upload.addEventListener("drop", (event) => { event.preventDefault(); if (event.dataTransfer.files.length) send(event.dataTransfer.files[0]); });
}

// The browser reconnects by itself and says which event it saw last.
const follow = (address, listeners) => {
  const source = new EventSource(address);
  source.addEventListener("status", (event) => {
    const { status } = JSON.parse(event.data);
    if (listeners.status) listeners.status(status);
    if (["succeeded", "failed", "cancelled"].includes(status)) { source.close(); window.location.reload(); }
  });
  for (const [kind, listener] of Object.entries(listeners)) if (kind !== "status") source.addEventListener(kind, (event) => listener(JSON.parse(event.data)));
};

const waiting = document.querySelector("[data-follow]");
if (waiting) {
  const stage = byId("stage"), bar = byId("stage-progress");
  follow(waiting.dataset.follow, {
    progress: ({ stage: name, done, total }) => {
      stage.textContent = total ? `${name}: ${done} of ${total}` : name;
      if (total) bar.value = done / total; else bar.removeAttribute("value");
    },
  });
}

const curve = document.querySelector("[data-curve]");
const points = byId("points") ? [...byId("points").rows].map((row) => ({ epoch: Number(row.cells[0].textContent), score: Number(row.cells[1].textContent) })) : [];
const drawOne = () => drawCurves(curve.querySelector("svg"), [points], Number(curve.dataset.epochs));
if (curve && byId("points")) { drawOne(); window.addEventListener("resize", drawOne); }

const compared = byId("compared");
if (compared) {
  const curves = [...compared.tBodies[0].rows].map((row) => row.dataset.curveOf.split(" ").filter(Boolean).map((score, i) => ({ epoch: i + 1, score: Number(score) })));
  const drawAll = () => drawCurves(curve.querySelector("svg"), curves, Number(curve.dataset.epochs));
  drawAll();
  window.addEventListener("resize", drawAll);
}

const training = document.querySelector("[data-follow-training]");
if (training) {
  const now = byId("now"), status = byId("status");
  follow(training.dataset.followTraining, {
    status: (name) => { const chip = status.querySelector(".status"); chip.textContent = name; chip.className = `status ${name}`; if (name === "running") now.textContent = points.length ? "" : "Waiting for the first epoch …"; },
    epoch: (point) => {
      if (points.some((known) => known.epoch === point.epoch)) return;
      points.push(point);
      const row = byId("points").insertRow();
      const details = byId("points").dataset.details.split(" ").map((name) => (name in point.details ? point.details[name].toFixed(4) : ""));
      for (const text of [point.epoch, point.score.toFixed(4), ...details, point.seconds.toFixed(0)]) row.insertCell().textContent = text;
      drawOne();
      now.textContent = `Epoch ${point.epoch} of ${curve.dataset.epochs}: ${curve.dataset.metric} ${point.score.toFixed(3)}`;
    },
    note: ({ message }) => { if (message) now.textContent = message; },
  });
}

// A sweep: one row and one curve per trial, in the order in which they are heard of.
const trials = byId("trials");
if (trials) {
  const live = document.querySelector("[data-follow-sweep]");
  const known = new Map(), cost = byId("cost"), now = byId("now");
  const cell = (row, text, label) => { const made = row.insertCell(); made.textContent = text; if (label) made.dataset.label = label; return made; };
  const draw = () => drawCurves(curve.querySelector("svg"), [...known.values()].map((trial) => trial.points), Number(curve.dataset.epochs));
  const take = (event) => {
    let trial = known.get(event.id);
    if (!trial) {
      const row = trials.insertRow(), name = document.createElement("th"), mark = document.createElement("span");
      name.scope = "row";
      mark.className = `mark curve-${known.size % STYLES}`;
      name.append(mark, ` ${event.start}`);
      row.append(name);
      trial = { points: [], cells: [cell(row, event.target, "Target"), cell(row, "", "State"), cell(row, "", "Epoch"), cell(row, "", "Best score")] };
      known.set(event.id, trial);
    }
    const repeats = event.fraction !== 1 ? ` (${Math.round(100 * event.fraction)}% of the images)` : "";
    trial.cells[0].textContent = event.target + repeats;
    trial.cells[1].textContent = event.reused ? "known before" : event.state === "waiting" && !live ? "not begun" : event.state;
    trial.cells[2].textContent = `${event.epoch} of ${event.epochs}`;
    trial.cells[3].textContent = event.best === null ? "—" : event.best.toFixed(3);
    if (event.score !== null && !trial.points.some((point) => point.epoch === event.epoch)) trial.points.push({ epoch: event.epoch, score: event.score });
    draw();
  };
  trials.replaceChildren(); // the same rows, drawn for browsers without script
  for (const entry of JSON.parse(byId("trial-data").textContent)) take(entry);
  draw();
  window.addEventListener("resize", draw);
  if (live) follow(live.dataset.followSweep, {
    progress: ({ stage, done, total }) => { now.textContent = total ? `${stage}: ${done} of ${total}` : stage; },
    trial: take,
    cost: ({ running, waiting, ended, spent_s: spent, limit_s: limit }) => {
      now.textContent = `${running} running, ${waiting} waiting, ${ended} ended`;
      if (limit) { cost.hidden = false; cost.max = limit; cost.value = spent; }
    },
    note: ({ message }) => { if (message) now.textContent = message; },
  });
}

const health = document.querySelector("[data-wait-for-health]");
if (health) {
  const look = async () => {
    const answer = await fetch(`/v1/datasets/${health.dataset.waitForHealth}`);
    if (answer.ok && (await answer.json()).health !== null) window.location.reload();
    else setTimeout(look, 1500);
  };
  setTimeout(look, 1000);
}
