// Drives the dashboard of a run that goes on in Chromium. `scripts/pages` calls it.
import { chromium } from "playwright-core";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

const [shots, url] = process.argv.slice(2);
mkdirSync(shots, { recursive: true });
const problems = [];
const complain = (what) => problems.push(what);

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});

const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
const page = await context.newPage();
page.on("console", (message) => {
  if (["error", "warning"].includes(message.type())) complain(`console: ${message.text()}`);
});
page.on("pageerror", (error) => complain(`script: ${error.message}`));
page.on("request", (request) => {
  if (!request.url().startsWith(url) && !request.url().startsWith("data:")) complain(`request: ${request.url()}`);
});
await page.goto(url);
await page.waitForSelector("#live-charts figure.chart", { timeout: 30_000 });

/** What the page shows now. */
const read = () => page.evaluate(() => ({
  state: document.getElementById("live-state")?.textContent,
  verdict: document.querySelector("h1 .badge")?.textContent,
  lines: [...document.querySelectorAll("#live-charts path.line")].map((line) => line.getAttribute("d")).join(),
  charts: document.querySelectorAll("#live-charts figure.chart").length,
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
}));

// The charts move while nothing is asked for.
const first = await read();
if (first.verdict !== "running") complain(`shows ${first.verdict} while it runs`);
if (first.overflow > 0) complain(`${first.overflow} pixels too wide`);
let moves = 0;
let last = first;
for (let seen = 0; seen < 4; seen += 1) {
  await page.waitForFunction((before) => document.getElementById("live-state")?.textContent !== before, last.state, { timeout: 10_000 });
  const now = await read();
  if (now.lines !== last.lines) moves += 1;
  last = now;
}
if (moves < 3) complain(`the charts moved ${moves} times in 4 updates`);

// A reading under the pointer stays while the page is renewed.
const plot = page.locator("#live-charts figure.chart .plot").first();
const box = await plot.boundingBox();
await page.mouse.move(box.x + box.width * 0.05, box.y + box.height / 2);
const tip = page.locator("#tip");
if (!(await tip.isVisible())) complain("no reading under the pointer");
const before = (await read()).state;
await page.waitForFunction((old) => document.getElementById("live-state")?.textContent !== old, before, { timeout: 10_000 });
if (!(await tip.isVisible())) complain("the reading is lost when the page is renewed");
await page.mouse.move(1, 1);
await page.screenshot({ path: join(shots, "dashboard-running.png"), fullPage: true });

for (const [width, colorScheme] of [[400, "dark"], [800, "light"]]) {
  await page.setViewportSize({ width, height: 900 });
  await page.emulateMedia({ colorScheme });
  const { overflow } = await read();
  if (overflow > 0) complain(`${width} pixels: ${overflow} too wide`);
  await page.screenshot({ path: join(shots, `dashboard-${width}-${colorScheme}.png`), fullPage: true });
}
await page.setViewportSize({ width: 1400, height: 900 });

// At the end the report takes the place of the charts so far.
await page.waitForSelector("#live-over", { timeout: 60_000 });
const over = await page.evaluate(() => ({
  place: document.getElementById("live-over").textContent,
  verdict: document.querySelector("h1 .badge")?.textContent,
  measures: [...document.querySelectorAll("caption")].filter((caption) => caption.textContent === "All measures").length,
  buttons: document.querySelectorAll(".command button").length,
  commands: document.querySelectorAll(".command").length,
  tips: document.querySelectorAll("#tip").length,
}));
if (!over.place.includes("report.html")) complain(`does not say where the report is: ${over.place}`);
if (!["pass", "fail", "inconclusive"].includes(over.verdict)) complain(`ends with the verdict ${over.verdict}`);
if (over.measures !== 1 || over.tips !== 1) complain("the report is not whole");
if (over.buttons !== over.commands || over.commands < 2) complain(`${over.buttons} buttons for ${over.commands} commands`);
const row = page.locator("figure.chart .plot").first();
const place = await row.boundingBox();
await row.scrollIntoViewIfNeeded();
const now = await row.boundingBox();
await page.mouse.move(now.x + place.width / 2, now.y + now.height / 2);
if (!(await tip.isVisible())) complain("no reading under the pointer of the report");
await page.screenshot({ path: join(shots, "dashboard-over.png"), fullPage: true });
await browser.close();

console.log(`dashboard: ${last.charts} charts moved, then ${over.verdict}: ${over.place}`);
for (const problem of new Set(problems)) console.error(`problem: dashboard: ${problem}`);
process.exit(problems.length > 0 ? 1 : 0);
