// Drives the pages of ui in headless Chromium: browse.mjs MODULES CHROMIUM ADDRESS RUN LIVE.
// MODULES is a node_modules folder with playwright-core and axe-core; RUN has problems in
// rows.rows; LIVE is a run that goes on until the file that the environment's LIVE_END names is there.
import { createRequire } from "node:module";
import { writeFileSync } from "node:fs";
const [modules, chromium, address, run, live] = process.argv.slice(2);
const require = createRequire(modules + "/");
const playwright = require("playwright-core");
const axe = require.resolve("axe-core/axe.min.js");

const fails = [];
const check = (what, ok, more = "") => { console.log(ok ? "ok  " : "FAIL", what, ok ? "" : more); if (!ok) fails.push(what); };

const browser = await playwright.chromium.launch({ executablePath: chromium, args: ["--no-sandbox"] });
const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
const page = await context.newPage();
page.setDefaultTimeout(30000);
const errors = [];
page.on("pageerror", (e) => errors.push(e.message));
page.on("console", (m) => { if (m.type() === "error") errors.push(m.text()); });
page.on("dialog", (d) => { errors.push("dialog " + d.message()); d.dismiss(); });

// Serious faults only; the policy keeps scripts of others out, so axe comes past it.
async function audit(what) {
  const open = await browser.newContext({ bypassCSP: true, storageState: await context.storageState(), viewport: page.viewportSize(), colorScheme: what.includes("dark") ? "dark" : "light" });
  const p = await open.newPage();
  await p.goto(page.url());
  await p.addScriptTag({ path: axe });
  const found = await p.evaluate(() => axe.run());
  const bad = found.violations.filter((v) => v.impact === "serious" || v.impact === "critical");
  check("axe: " + what, bad.length === 0, JSON.stringify(bad.map((v) => [v.id, v.nodes[0].html, v.nodes[0].failureSummary])));
  await open.close();
}

const text = (selector) => page.locator(selector).first().innerText();
const list = () => page.locator("#list .item").count();

// Open.
await page.goto(address);
check("the token is gone from the address", !page.url().includes("token"));
await audit("runs");
await audit("runs, dark");
await page.click(`a[href="/runs/${run}"]`);
await page.waitForSelector("#summary .tile");
check("the run shows its stages", (await text("#stages")).includes("teacher"));
await audit("run");
await page.click("#stages td.outputs a >> text=rows");
await page.waitForSelector("#record h2");
check("records are listed", await list() > 3);
await audit("records");
await audit("records, dark");

// Formulas are rendered from text; money is none; the mark stays.
check("formulas", await page.locator("#record .katex").count() >= 2);
check("money", (await text("#record")).includes("$5 and $10"));
check("the span", (await text("#record mark")) === "0", await page.locator("#record .text").last().innerHTML());
await page.keyboard.press("t");
check("formulas as written", await page.locator("#record .katex").count() === 0 && (await text("#record")).includes("\\(x = 0\\)"));
await page.keyboard.press("t");

// Keys.
await page.keyboard.press("j");
await page.waitForFunction(() => document.querySelector("#record h2").innerText.includes("plain"));
check("j reads the next", true);
check("planted markup is text", (await text("#record")).includes("<script>document.title"));
check("nothing planted ran", !(await page.title()).includes("planted") && await page.locator("#record .text a, #record .text img, #record script").count() === 0);
await page.keyboard.press("k");
await page.waitForFunction(() => document.querySelector("#record h2").innerText.includes("cot"));
check("reasoning is folded", !(await page.locator("#record .text", { hasText: /THINK/ }).isVisible()));
await page.keyboard.press("r");
check("r unfolds it", await page.locator("#record .text", { hasText: /THINK/ }).isVisible());
await page.keyboard.press("?");
check("? shows the keys", await page.locator("#keys").isVisible());
await page.keyboard.press("Escape");

// Filter and search.
const before = await list();
await page.selectOption("select[name=verdict]", "wrong");
await page.waitForURL(/verdict=wrong/);
check("the filter by verdict", await list() < before && await list() > 0);
await page.keyboard.press("f");
await page.keyboard.type('id == "p2"');
await page.keyboard.press("Enter");
await page.waitForURL(/where=/);
check("the filter by expression", await list() === 1 && (await text("#record h2")).includes("p2"));
await page.click("#filters a");
await page.waitForURL((u) => !u.search);
await page.keyboard.press("/");
await page.keyboard.type("or 3.");
await page.keyboard.press("Enter");
await page.waitForURL(/q=/);
check("search", await list() === 1 && (await text("#record h2")).includes("p3"));
await page.waitForFunction(() => document.querySelector("#count").innerText === "1");

check("hits are highlighted", await page.evaluate(() => CSS.highlights.get("hit").size) === 1);

// Mark.
await page.keyboard.press("2");
await page.waitForSelector(".note [aria-pressed]");
check("2 marks as wrong", (await text("#list .item")).includes("wrong") && (await text(".note [aria-pressed]")) === "wrong");
await page.keyboard.press("c");
await page.keyboard.type("adds <b>badly</b>");
await page.keyboard.press("Enter");
await page.waitForFunction(() => document.querySelector(".note input[name=comment]").defaultValue.includes("badly"));
check("a comment keeps the mark", (await text(".note [aria-pressed]")) === "wrong");
await page.goto(new URL(`/runs/${run}/records/rows/rows?mark=wrong`, address).href);
check("the mark is found again", await list() === 1);
await audit("a marked record");

// Compare: what flipped between a run and the same one with itself is nothing.
await page.goto(new URL("/", address).href);
for (const box of await page.locator("#live input").all()) await box.check();
await page.waitForTimeout(2500); // the list may come again
check("chosen runs stay chosen", await page.locator("#live input:checked").count() === 2);
await page.click("text=Compare the chosen runs");
await page.waitForSelector("table");
check("runs side by side", (await text("main")).includes(run) && (await text("main")).includes(live));
await audit("comparison");

// A live run.
await page.goto(new URL(`/runs/${live}`, address).href);
check("a run goes on", (await text(".runline")).includes("running"));
writeFileSync(process.env.LIVE_END, "");
await page.waitForFunction(() => document.querySelector(".runline").innerText.includes("done"));
await page.waitForSelector("#summary .tile");
check("the page follows it to its end", true);

// Narrow.
await page.setViewportSize({ width: 400, height: 850 });
for (const path of ["/", `/runs/${run}`, `/runs/${run}/records/rows/rows`]) {
  await page.goto(new URL(path, address).href);
  check("400 pixels: " + path.replace(run, "RUN"), await page.evaluate(() => document.documentElement.scrollWidth) <= 400);
}
await audit("records, narrow");

// A frame of another page, and another name for this machine.
const other = await context.newPage();
await other.setContent(`<iframe src="${new URL("/", address).href}"></iframe>`);
await other.waitForTimeout(300);
check("no frame", !(await Promise.all(other.frames().slice(1).map((f) => f.content().catch(() => "")))).some((c) => c.includes("distillflow")));

check("no errors in the console", errors.filter((e) => !e.includes("frame")).length === 0, JSON.stringify(errors));
await browser.close();
process.exit(fails.length ? 1 : 0);
