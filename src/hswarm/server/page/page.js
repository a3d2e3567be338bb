// The page beside the API: it speaks to /v1 as any client does, with the field `hswarm` to see the nodes.
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const FIELDS = ["temperature", "top_p", "seed", "max_tokens"];
const REMEMBERED = 20; // questions of this tab
const state = { system: null, single: null, sink: 0, stop: null, names: [], examples: [], trace: null };

async function api(path, options = {}) {
  const key = sessionStorage.getItem("hswarm-key");
  const headers = { "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) };
  const response = await fetch(path, { ...options, headers });
  if (response.ok) return response;
  const content = await response.json().catch(() => null);
  const fault = new Error(content?.error?.message ?? `the server answered ${response.status}`);
  fault.status = response.status;
  throw fault;
}

async function open() {
  try {
    const { data } = await (await api("/v1/models")).json();
    state.system = data[0].id;
    state.single = data.find((model) => model.id === `${state.system}:best-single`);
    const model = await (await api(`/v1/models/${encodeURIComponent(state.system)}`)).json();
    show(model);
    $("key-form").hidden = true;
    $("ask-form").hidden = false;
    say("");
    $("question").focus();
  } catch (fault) {
    if (fault.status !== 401) return say(fault.message);
    if (sessionStorage.getItem("hswarm-key")) say(fault.message);
    $("key-form").hidden = false;
    $("ask-form").hidden = true;
    $("key").focus();
  }
}

function show(model) {
  const nodes = model.hswarm.nodes;
  state.sink = model.hswarm.sink;
  state.names = named(nodes);
  document.title = $("name").textContent = model.id;
  $("status").textContent = `${nodes.length} nodes, ${new Set(nodes.map((node) => node.expert)).size} experts`;
  tell(model.hswarm.about);
  const drawing = new DOMParser().parseFromString(model.hswarm.svg, "image/svg+xml").documentElement;
  drawing.setAttribute("role", "group"); // of an image, a screen reader would not read the parts
  $("graph").replaceChildren(document.importNode(drawing, true));
  $("nodes").replaceChildren(...nodes.map(card));
  for (const box of $("graph").querySelectorAll("[data-node]")) {
    const label = box.querySelector("text");
    const name = state.names[box.dataset.node];
    label.textContent = label.textContent.includes("…") ? label.textContent.replace(/^\d+ /, "") : name;
    box.setAttribute("tabindex", "0");
    box.setAttribute("role", "button");
    box.setAttribute("aria-label", `${title(nodes.find(({ node }) => String(node) === box.dataset.node))}: waiting`);
    box.addEventListener("click", () => reveal(box.dataset.node));
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      reveal(box.dataset.node);
    });
  }
  cue();
  if (state.single) {
    $("compare-label").hidden = $("single-answer").hidden = false;
    $("single-answer").querySelector("h2").textContent = `Best single expert: ${state.single.hswarm.nodes[0].expert}`;
  }
}

// A name for each node: its expert's, counted where an expert stands at several nodes.
function named(nodes) {
  const names = [];
  for (const { node, expert } of nodes) {
    const alike = nodes.filter((other) => other.expert === expert);
    names[node] = alike.length > 1 ? `${expert} (${alike.findIndex((other) => other.node === node) + 1})` : expert;
  }
  return names;
}

// What the system is for: its task, its scores, questions to try.
function tell(about) {
  $("about").hidden = !about?.task;
  if (!about?.task) return;
  const score = ({ score, low, high }) => `${score.toFixed(2)} (95 % interval ${low.toFixed(2)} to ${high.toFixed(2)})`;
  const parts = [`Found for the task “${about.task}”${about.purpose ? `: ${about.purpose}` : ""}.`];
  if (about.system) parts.push(`On ${about.system.n} questions that the search never saw it scores ${score(about.system)}`);
  if (about.system && about.single) parts.push(`; the best single expert scores ${score(about.single)}.`);
  else if (about.system) parts.push(".");
  $("purpose").textContent = parts.join(" ").replace(" ;", ";").replace(" .", ".");
  state.examples = about.examples;
  $("examples").replaceChildren(...about.examples.map(({ question }) => again(question)));
}

function again(question) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain";
  button.textContent = question.length > 160 ? `${question.slice(0, 160)}…` : question;
  button.addEventListener("click", () => {
    $("question").value = question;
    $("ask-form").requestSubmit();
  });
  return button;
}

function cue() {
  $("wider").hidden = $("graph").scrollWidth <= $("graph").clientWidth;
}

function title({ node, hears }) {
  const heard = hears.length ? `reads ${hears.map((other) => state.names[other]).join(", ")}` : "reads the question alone";
  return `${state.names[node]}, ${heard}${node === state.sink ? ", gives the answer" : ""}`;
}

function card(described) {
  const item = $("node").content.firstElementChild.cloneNode(true);
  item.id = `node-${described.node}`;
  item.querySelector(".title").textContent = title(described);
  return item;
}

function reveal(node) {
  const details = $(`node-${node}`).querySelector("details");
  details.open = true;
  details.querySelector("summary").focus();
}

function say(text) {
  $("fault").textContent = text;
  $("fault").hidden = !text;
}

function mark(node, name) {
  const words = { waiting: "waiting", started: "answering", done: "done", failed: "failed" };
  for (const part of [$(`node-${node}`), $("graph").querySelector(`[data-node="${node}"]`)]) {
    part.classList.remove(...Object.keys(words));
    part.classList.add(name);
  }
  const box = $("graph").querySelector(`[data-node="${node}"]`);
  box.setAttribute("aria-label", box.getAttribute("aria-label").replace(/: [a-z]+$/, `: ${words[name]}`));
  $(`node-${node}`).querySelector(".state").textContent = words[name];
}

function write(node, text) {
  for (const place of [".response", ".said"]) $(`node-${node}`).querySelector(place).textContent = text;
}

function follow(event) {
  const { node } = event;
  if (event.event !== "text") state.trace.events.push(event);
  if (event.event === "started") mark(node, "started");
  if (event.event === "text") write(node, event.text);
  if (event.event !== "done") return;
  write(node, event.response || "(nothing)");
  $(`node-${node}`).querySelector(".prompt").textContent = event.prompt;
  mark(node, "done");
  for (const edge of $("graph").querySelectorAll(`[data-edge^="${node}-"]`)) send(edge);
}

// The message travels along the edge, unless motion is not wanted.
function send(edge) {
  edge.classList.add("said");
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const message = document.createElementNS(SVG, "circle");
  message.setAttribute("r", "6");
  message.setAttribute("class", "message");
  const motion = document.createElementNS(SVG, "animateMotion");
  const attributes = { dur: "0.7s", begin: "indefinite", fill: "freeze", path: edge.querySelector("path").getAttribute("d") };
  for (const [name, value] of Object.entries(attributes)) motion.setAttribute(name, value);
  message.append(motion);
  edge.ownerSVGElement.append(message);
  motion.addEventListener("endEvent", () => message.remove());
  motion.beginElement();
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const lines = (rest + part.value).split("\n\n");
    rest = lines.pop();
    for (const line of lines) if (line !== "data: [DONE]") yield JSON.parse(line.slice("data: ".length));
  }
}

const spoken = (seconds) => (seconds < 0.01 ? "under 0.01 s" : `${seconds.toFixed(2)} s`);

// Where the time went: each node's bar over the time of the whole answer, and its tokens.
function waterfall() {
  const done = state.trace.events.filter((event) => event.event === "done");
  const whole = Math.max(...done.map((event) => event.at), 0.001);
  for (const { node, at, prompt_tokens: read, completion_tokens: written } of done) {
    const began = state.trace.events.find((event) => event.event === "started" && event.node === node)?.at ?? at;
    const item = $(`node-${node}`);
    item.querySelector(".spent").textContent = `${spoken(at - began)}, ${read} tokens read, ${written} written`;
    const bar = item.querySelector(".bar");
    bar.classList.add("known");
    bar.firstChild.style.marginLeft = `min(${(100 * began) / whole}%, 100% - 2px)`;
    bar.firstChild.style.width = `${(100 * (at - began)) / whole}%`;
  }
}

function sampling() {
  const inputs = FIELDS.map((name) => [name, $("sampling").querySelector(`[name=${name}]`).value]);
  return Object.fromEntries(inputs.filter(([, value]) => value !== "").map(([name, value]) => [name, Number(value)]));
}

function remember(question, answer) {
  const kept = [{ question, answer }, ...recall().filter((one) => one.question !== question)].slice(0, REMEMBERED);
  sessionStorage.setItem("hswarm-asked", JSON.stringify(kept));
  list();
}

function recall() {
  return JSON.parse(sessionStorage.getItem("hswarm-asked") ?? "[]");
}

function list() {
  const kept = recall();
  $("history").hidden = !kept.length;
  $("history").querySelector("ol").replaceChildren(...kept.map(({ question, answer }) => {
    const item = document.createElement("li");
    const said = document.createElement("p");
    said.className = "hint";
    said.textContent = answer;
    item.append(again(question), said);
    return item;
  }));
}

async function put(model, question, panel, trace, signal) {
  const answer = panel.querySelector(".answer");
  const cost = panel.querySelector(".cost");
  answer.textContent = "";
  cost.textContent = "asking";
  panel.setAttribute("aria-busy", "true"); // read out when it is whole, not word by word
  const began = performance.now();
  const body = {
    model, messages: [{ role: "user", content: question }], stream: true,
    stream_options: { include_usage: true }, hswarm: { trace }, ...sampling(),
  };
  const response = await api("/v1/chat/completions", { method: "POST", body: JSON.stringify(body), signal });
  let reason = "";
  for await (const chunk of events(response)) {
    if (chunk.error) throw new Error(chunk.error.message);
    if (chunk.hswarm) follow(chunk.hswarm);
    for (const choice of chunk.choices) {
      answer.textContent += choice.delta.content ?? "";
      reason = choice.finish_reason ?? reason;
    }
    if (chunk.usage) {
      const seconds = spoken((performance.now() - began) / 1000);
      const cut = reason === "length" ? ", cut off at its limit" : "";
      cost.textContent = `${seconds}, ${chunk.usage.prompt_tokens} tokens read, ${chunk.usage.completion_tokens} written${cut}`;
    }
  }
  if (!answer.textContent) answer.textContent = "(an empty answer)";
  panel.removeAttribute("aria-busy");
  return answer.textContent;
}

async function ask(event) {
  event.preventDefault();
  const question = $("question").value.trim();
  if (!question || state.stop) return;
  say("");
  for (const item of $("nodes").children) {
    mark(item.id.slice("node-".length), "waiting");
    write(item.id.slice("node-".length), "");
    item.querySelector(".prompt").textContent = "";
    item.querySelector(".spent").textContent = "";
    item.querySelector(".bar").classList.remove("known");
  }
  for (const edge of $("graph").querySelectorAll(".edge")) edge.classList.remove("said");
  state.stop = new AbortController();
  state.trace = { model: state.system, question, ...sampling(), events: [] };
  $("ask").disabled = true;
  $("stop").hidden = false;
  $("after").hidden = true;
  for (const panel of [$("system-answer"), $("single-answer")]) {
    for (const place of [".answer", ".cost"]) panel.querySelector(place).textContent = "";
  }
  try {
    // one after the other, so that each has the engine, and its time, to itself
    state.trace.answer = await put(state.system, question, $("system-answer"), true, state.stop.signal);
    waterfall();
    remember(question, state.trace.answer);
    $("after").hidden = false;
    $("told").textContent = expected(question);
    if (state.single && $("compare").checked) {
      state.trace.single = await put(state.single.id, question, $("single-answer"), false, state.stop.signal);
    }
  } catch (fault) {
    say(state.stop.signal.aborted ? "Stopped." : fault.message);
  }
  const end = state.stop.signal.aborted ? "waiting" : "failed";
  for (const item of $("nodes").querySelectorAll(".started")) mark(item.id.slice("node-".length), end);
  for (const cost of document.querySelectorAll(".cost")) if (cost.textContent === "asking") cost.textContent = "";
  for (const panel of $("answers").children) panel.removeAttribute("aria-busy");
  state.stop = null;
  $("ask").disabled = false;
  $("stop").hidden = true;
}

// The task's own answer, where the question is one of its examples.
function expected(question) {
  const example = state.examples.find((one) => one.question.trim() === question);
  return example ? `The task's own answer: ${example.answer}` : "";
}

async function copy(text, done) {
  try {
    await navigator.clipboard.writeText(text);
    $("told").textContent = done;
  } catch {
    $("told").textContent = "The browser does not let this page copy.";
  }
}

$("copy").addEventListener("click", () => copy(state.trace.answer, "Copied."));
$("share").addEventListener("click", () => {
  const link = new URL(location.href);
  link.hash = `q=${encodeURIComponent(state.trace.question)}`;
  copy(link.href, "Link copied; it works where this server can be reached.");
});
$("download").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(state.trace, null, 2)], { type: "application/json" }));
  link.download = "trace.json";
  link.click();
  URL.revokeObjectURL(link.href);
});
addEventListener("resize", cue);
$("ask-form").addEventListener("submit", ask);
$("stop").addEventListener("click", () => state.stop?.abort());
$("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("ask-form").requestSubmit();
});
addEventListener("keydown", (event) => event.key === "Escape" && state.stop?.abort());
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("hswarm-key", $("key").value);
  open();
});
list();
if (location.hash.startsWith("#q=")) $("question").value = decodeURIComponent(location.hash.slice(3));
open();
