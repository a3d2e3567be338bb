// The page beside the API: it speaks to /v1 as any client does, with the field `hswarm` to see the nodes.
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const state = { system: null, single: null, sink: 0, stop: null };

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
  document.title = $("name").textContent = model.id;
  $("status").textContent = `${nodes.length} nodes, ${new Set(nodes.map((node) => node.expert)).size} experts`;
  const drawing = new DOMParser().parseFromString(model.hswarm.svg, "image/svg+xml").documentElement;
  $("graph").replaceChildren(document.importNode(drawing, true));
  $("nodes").replaceChildren(...nodes.map(card));
  for (const box of $("graph").querySelectorAll("[data-node]")) {
    box.addEventListener("click", () => reveal(box.dataset.node));
  }
  if (state.single) {
    $("compare-label").hidden = $("single-answer").hidden = false;
    $("single-answer").querySelector("h2").textContent = `Best single expert: ${state.single.hswarm.nodes[0].expert}`;
  }
}

function card({ node, expert, hears }) {
  const item = $("node").content.firstElementChild.cloneNode(true);
  item.id = `node-${node}`;
  const heard = hears.length ? `hears ${hears.join(", ")}` : "hears the question alone";
  const answers = node === state.sink ? ", gives the answer" : "";
  item.querySelector(".title").textContent = `${node} ${expert} (${heard}${answers})`;
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
  $(`node-${node}`).querySelector(".state").textContent = words[name];
}

function write(node, text) {
  for (const place of [".response", ".said"]) $(`node-${node}`).querySelector(place).textContent = text;
}

function follow(event) {
  const { node } = event;
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
  const attributes = { dur: "0.7s", begin: "indefinite", path: edge.querySelector("path").getAttribute("d") };
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

async function put(model, question, panel, trace, signal) {
  const answer = panel.querySelector(".answer");
  const cost = panel.querySelector(".cost");
  answer.textContent = "";
  cost.textContent = "asking";
  const began = performance.now();
  const body = {
    model, messages: [{ role: "user", content: question }], stream: true,
    stream_options: { include_usage: true }, hswarm: { trace },
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
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      const cut = reason === "length" ? ", cut off at its limit" : "";
      cost.textContent = `${seconds} s, ${chunk.usage.prompt_tokens} tokens read, ${chunk.usage.completion_tokens} written${cut}`;
    }
  }
  if (!answer.textContent) answer.textContent = "(an empty answer)";
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
  }
  for (const edge of $("graph").querySelectorAll(".edge")) edge.classList.remove("said");
  state.stop = new AbortController();
  $("ask").disabled = true;
  $("stop").hidden = false;
  const both = [put(state.system, question, $("system-answer"), true, state.stop.signal)];
  if (state.single && $("compare").checked) {
    both.push(put(state.single.id, question, $("single-answer"), false, state.stop.signal));
  }
  const faults = (await Promise.allSettled(both)).filter((end) => end.status === "rejected").map((end) => end.reason);
  const stopped = state.stop.signal.aborted;
  if (faults.length) say(stopped ? "Stopped." : faults[0].message);
  for (const item of $("nodes").querySelectorAll(".started")) mark(item.id.slice("node-".length), stopped ? "waiting" : "failed");
  for (const cost of document.querySelectorAll(".cost")) if (cost.textContent === "asking") cost.textContent = "";
  state.stop = null;
  $("ask").disabled = false;
  $("stop").hidden = true;
}

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
open();
