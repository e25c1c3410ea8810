// What the pages of ui do in the browser: follow a run, walk through records, render
// formulas. Every page works without it, by links and forms.
"use strict";

const $ = (selector, within = document) => within.querySelector(selector);

// The HTML of fragments comes from this server, which escapes what models wrote; the
// policy of the page lets no script in them run.
function follow(box) {
  const source = new EventSource(box.dataset.live);
  source.addEventListener("state", (e) => {
    const chosen = new Set([...box.querySelectorAll("input:checked")].map((i) => i.value));
    const open = box.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    box.innerHTML = e.data;
    for (const i of box.querySelectorAll("input")) i.checked = chosen.has(i.value);
    if (open) for (const a of box.querySelectorAll("a")) if (a.getAttribute("href") === open) { a.focus(); break; }
    answered();
  });
  source.addEventListener("done", () => { source.close(); const control = $("#control"); if (control) control.remove(); const later = $("[data-later]"); if (later) load(later); });
  source.addEventListener("gone", () => source.close());
}

async function fragment(url) {
  const answer = await fetch(url, { credentials: "same-origin" });
  const text = await answer.text();
  if (!answer.ok) throw new Error("the page could not be loaded (" + answer.status + ")");
  return text;
}

async function load(box) {
  try { box.innerHTML = await fragment(box.dataset.load); } catch (e) { box.textContent = e.message; }
}

// Control of a run: its answer to a command comes with its state.

let sent = ""; // the command that was not answered yet

function answered() {
  if (!sent || !$('[data-command="' + sent + '"]')) return;
  sent = "";
  $("#control [role=status]").textContent = "";
}

async function command(form, button) {
  const body = new URLSearchParams(new FormData(form, button)), status = $("#control [role=status]");
  body.set("fragment", "1");
  try {
    const answer = await fetch(form.getAttribute("action"), { method: "POST", body, credentials: "same-origin" });
    const text = await answer.text();
    if (!answer.ok) {
      const why = $(".pre", new DOMParser().parseFromString(text, "text/html"));
      throw new Error(why ? why.textContent : text);
    }
    sent = text;
    status.textContent = "Sent; the run answers in a moment.";
    answered();
  } catch (e) {
    status.textContent = "Not sent: " + e.message;
  }
}

// Formulas.

const delimiters = [["$$", "$$", true], ["\\[", "\\]", true], ["\\(", "\\)", false], ["$", "$", false]];

// formulas finds the formulas in a text as [start, end, source, display].
function formulas(text) {
  const found = [];
  for (let i = 0; i < text.length;) {
    const c = text[i];
    if (c !== "$" && c !== "\\") { i++; continue; }
    const d = delimiters.find(([open]) => text.startsWith(open, i));
    if (!d) { i += c === "\\" ? 2 : 1; continue; }
    const [open, close, display] = d;
    const from = i + open.length;
    let to = text.indexOf(close, from);
    if (open === "$") while (to > 0 && text[to - 1] === "\\") to = text.indexOf(close, to + 1);
    const source = to < 0 ? "" : text.slice(from, to);
    if (to < 0 || !source.trim() || source.length > 4000 || (open === "$" && !looksLikeMath(source, text[to + 1]))) { i = from; continue; }
    found.push([i, to + close.length, source, display]);
    i = to + close.length;
  }
  return found;
}

// Money is no formula: $5 and $10.
function looksLikeMath(source, after) {
  return !/^\s|\s$|\n\n/.test(source) && !/\d/.test(after || "") && (/[\\^_{}=+<>]/.test(source) || /^[A-Za-z]$/.test(source));
}

const written = new WeakMap(); // texts as they were before formulas were rendered
let rendered = true;

function renderText(box) {
  const text = box.textContent, marked = $("mark", box);
  const list = formulas(text);
  if (!list.length) return;
  let from = 0, to = 0;
  if (marked) {
    const before = document.createRange();
    before.setStart(box, 0);
    before.setEndBefore(marked);
    from = before.toString().length;
    to = from + marked.textContent.length;
  }
  const out = document.createDocumentFragment();
  const plain = (a, b) => { // text from a to b, with the mark where it is
    for (const [x, y, inside] of [[a, Math.min(b, from)], [Math.max(a, from), Math.min(b, to), true], [Math.max(a, to), b]]) {
      if (x >= y) continue;
      const s = document.createTextNode(text.slice(x, y));
      if (!inside) { out.append(s); continue; }
      const m = document.createElement("mark");
      m.append(s);
      out.append(m);
    }
  };
  let at = 0, some = false;
  for (const [a, b, source, display] of list) {
    const span = document.createElement(from < to && a < to && from < b ? "mark" : "span");
    try { katex.render(source, span, { displayMode: display, trust: false, strict: "ignore", maxSize: 20, maxExpand: 500, throwOnError: true }); } catch { continue; }
    plain(at, a);
    out.append(span);
    at = b;
    some = true;
  }
  if (!some) return;
  plain(at, text.length);
  written.set(box, [...box.childNodes]);
  box.replaceChildren(out);
}

function renderAll(within) {
  if (rendered && window.katex) for (const box of within.querySelectorAll(".text")) renderText(box);
}

function toggleFormulas() {
  rendered = !rendered;
  const record = $("#record");
  if (rendered) { renderAll(record); return; }
  for (const box of record.querySelectorAll(".text")) {
    const nodes = written.get(box);
    if (nodes) box.replaceChildren(...nodes);
  }
}

// Records.

const items = () => [...document.querySelectorAll("#list .item")];
const current = () => $("#list .item[aria-current]");
let asked = 0; // the latest record that was asked for

async function read(item) {
  const was = current();
  if (was) was.removeAttribute("aria-current");
  item.setAttribute("aria-current", "true");
  item.scrollIntoView({ block: "nearest" });
  history.replaceState(null, "", item.href);
  const record = $("#record"), mine = ++asked;
  const url = new URL(item.href);
  url.search = "?fragment=1&sel=" + encodeURIComponent(item.dataset.at);
  try {
    const html = await fragment(url);
    if (mine !== asked) return;
    show(html);
    window.scrollTo({ top: Math.min(window.scrollY, record.offsetTop - 60) });
  } catch (e) {
    if (mine === asked) record.textContent = e.message;
  }
}

// show puts a record on the page, with its reasoning folded as that before.
function show(html) {
  const record = $("#record"), before = reasoning();
  record.innerHTML = html;
  const thoughts = reasoning();
  if (thoughts && before) thoughts.open = before.open;
  renderAll(record);
  highlight(record);
  for (const box of record.querySelectorAll("[data-load]")) load(box);
}

// highlight shows where the text that was searched for stands, and unfolds it.
function highlight(record) {
  const wanted = (new URLSearchParams(location.search).get("q") || "").toLowerCase();
  if (!wanted || !window.Highlight) return;
  const hits = new Highlight();
  for (const box of record.querySelectorAll(".text")) {
    const walk = document.createTreeWalker(box, NodeFilter.SHOW_TEXT, (n) => n.parentElement.closest(".katex") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT);
    let some = false;
    while (walk.nextNode()) {
      const text = walk.currentNode.data.toLowerCase();
      if (text.length !== walk.currentNode.data.length) continue; // letters that have other lengths in lower case
      for (let i = text.indexOf(wanted); i >= 0; i = text.indexOf(wanted, i + wanted.length)) {
        hits.add(new StaticRange({ startContainer: walk.currentNode, startOffset: i, endContainer: walk.currentNode, endOffset: i + wanted.length }));
        some = true;
      }
    }
    const fold = box.closest("details");
    if (some && fold) fold.open = true;
  }
  CSS.highlights.set("hit", hits);
}

const reasoning = () => [...document.querySelectorAll("#record details.fold")].find((d) => d.firstElementChild.textContent.startsWith("Reasoning"));

function step(by) {
  const list = items(), i = list.indexOf(current());
  const next = list[i + by];
  if (next) { read(next); return; }
  if (by > 0 && $("#next")) location.href = $("#next").href;
}

// note files a mark; the record comes back with it.
async function note(form, mark) {
  const body = new URLSearchParams({ fragment: "1", at: form.at.value, mark, comment: form.comment.value });
  const record = $("#record"), item = current(), mine = asked;
  try {
    const answer = await fetch(form.action, { method: "POST", body, credentials: "same-origin" });
    if (!answer.ok) throw new Error("the note was not taken (" + answer.status + ")");
    const html = await answer.text();
    if (item) {
      const badge = $("[class*=mark-]", item) || item.appendChild(document.createElement("span"));
      badge.className = "badge mark-" + mark;
      badge.textContent = mark;
      if (!mark) badge.remove();
    }
    if (mine === asked) show(html);
  } catch (e) {
    const p = document.createElement("p");
    p.setAttribute("role", "alert");
    p.textContent = e.message;
    form.append(p);
  }
}

const press = (i) => { const b = document.querySelectorAll("#record .note button[class^=mark-]")[i]; if (b) b.click(); };

const keys = {
  j: () => step(1),
  k: () => step(-1),
  "/": () => $("#search").select(),
  f: () => $("#where").select(),
  n: () => $("#next") && $("#next").click(),
  r: () => { const d = reasoning(); if (d) d.open = !d.open; },
  t: toggleFormulas,
  1: () => press(0),
  2: () => press(1),
  3: () => press(2),
  c: () => { const f = $("#record .note"); if (f) f.comment.focus(); },
  "?": () => { const d = $("#keys"); d.open ? d.close() : d.showModal(); },
};

// searchOn fills the list of a search that was not through with the output.
async function searchOn() {
  const list = $("#list");
  for (let next = $("#next[data-searched]"); next && items().length < 50; next = $("#next[data-searched]")) {
    const page = new DOMParser().parseFromString(await fragment(next.href), "text/html");
    const first = items().length === 0;
    for (const li of page.querySelectorAll("#list > li")) {
      if ($(".item", li)) { const none = $(".none", list); if (none) none.remove(); list.append(li); }
    }
    for (const a of list.querySelectorAll("[aria-current]")) if (a !== $("[aria-current]", list)) a.removeAttribute("aria-current");
    if (first && items().length) show($("#record", page).innerHTML);
    const more = $("#next", page);
    if (more) { next.replaceWith(more); continue; }
    next.remove();
    const none = $(".none", list);
    if (none) none.textContent = "No record is like that.";
  }
}

function browse() {
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.target.matches("input, textarea, select")) {
      if (e.key === "Escape") e.target.blur();
      return;
    }
    const f = keys[e.key];
    if (f) { e.preventDefault(); f(); }
  });
  $("#list").addEventListener("click", (e) => {
    const item = e.target.closest(".item");
    if (!item || e.ctrlKey || e.metaKey || e.shiftKey) return;
    e.preventDefault();
    read(item);
  });
  $("#record").addEventListener("submit", (e) => {
    if (!e.target.matches(".note")) return;
    e.preventDefault();
    note(e.target, e.submitter ? e.submitter.value : "interesting");
  });
  $("#help").addEventListener("click", keys["?"]);
  $("#outputs").addEventListener("change", (e) => { location.href = e.target.value; });
  for (const s of document.querySelectorAll("#filters select[name]")) s.addEventListener("change", () => submit());
  $("#filters").addEventListener("submit", (e) => { e.preventDefault(); submit(); });
  renderAll(document);
  highlight($("#record"));
  searchOn().then(count).catch(() => {});
}

// count tells how many records there are, which takes a pass over all of them.
async function count() {
  const box = $("#count");
  if (!box) return;
  const answer = JSON.parse(await fragment(box.dataset.count));
  if (!answer.error) box.textContent = answer.count.toLocaleString("en");
}

// submit goes to the address of the form, without its empty fields.
function submit() {
  const form = $("#filters"), q = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value) q.set(name, value);
  location.href = form.getAttribute("action") + (q.size ? "?" + q : "");
}

for (const box of document.querySelectorAll("[data-live]")) follow(box);
for (const box of document.querySelectorAll("[data-load]:not([data-later])")) load(box);
if ($("#control")) $("#control").addEventListener("submit", (e) => { e.preventDefault(); command(e.target, e.submitter); });
if ($("#list")) browse();
else renderAll(document);
