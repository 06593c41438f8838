// Checks the reports of runs in Chromium. `scripts/pages` calls it.
import { chromium } from "playwright-core";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [shots, ...folders] = process.argv.slice(2);
mkdirSync(shots, { recursive: true });

const WIDTHS = [400, 800, 1400];
const problems = [];

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});

/** The value of a record at a dotted path. */
const at = (value, path) => path.split(".").reduce((here, name) => here?.[name], value);

/** Opens a page, and notes whatever it complains of or asks for. */
async function open(folder, options, complain) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const url = pathToFileURL(resolve(folder, "report.html")).href;
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complain(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complain(`script: ${error.message}`));
  page.on("dialog", async (dialog) => { complain("a dialog was opened"); await dialog.dismiss(); });
  page.on("request", (request) => {
    if (request.url() !== url && !request.url().startsWith("data:")) complain(`request: ${request.url()}`);
  });
  await page.goto(url);
  return { context, page };
}

/** What the page shows, as plain data. */
const read = (page) => page.evaluate(() => {
  const text = (element) => element?.textContent.trim() ?? "";
  const tables = [...document.querySelectorAll("table")].filter((table) => !table.closest("#tip"));
  return {
    title: document.title,
    verdict: text(document.querySelector("h1 .badge")),
    reason: text(document.querySelector("header .reason")),
    reasonBottom: document.querySelector("header .reason")?.getBoundingClientRect().bottom,
    tiles: [...document.querySelectorAll("[data-metric]")].map((tile) => [tile.dataset.metric, text(tile)]),
    unnamed: [...document.querySelectorAll("svg")].filter((svg) =>
      svg.getAttribute("role") !== "img" || !text(svg.querySelector(":scope > title"))).length,
    uncaptioned: tables.filter((table) => !text(table.caption)).length,
    charts: [...document.querySelectorAll("figure.chart")].map((figure) => ({
      id: figure.id,
      title: text(figure.querySelector("h4")),
      axes: [...figure.querySelectorAll(".axis-title")].map(text),
      ticks: [".x-labels", ".y-labels"].map((axis) =>
        [...figure.querySelectorAll(`${axis} span`)].map(text)),
      faults: figure.querySelectorAll("rect.fault").length,
      height: figure.querySelector(".plot").getBoundingClientRect().height,
    })),
    measures: tables.filter((table) => text(table.caption) === "All measures").map((table) => ({
      heads: [...table.tHead.rows[0].cells].map(text),
      rows: [...table.tBodies[0].rows].map((row) =>
        [...row.cells].map((cell) => [text(cell), cell.dataset.sort])),
    })),
    commands: document.querySelectorAll(".command").length,
    buttons: document.querySelectorAll(".command button").length,
    data: JSON.parse(document.getElementById("data").textContent),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  };
});

/** Compares the figures of the tables, and those of the first screen, with the record. */
function compareFigures(shown, record, complain) {
  const cases = record.seeds ? [] : record.cases;
  const measured = cases.filter((one) => one.series !== null || one.processes.length > 0);
  if (shown.measures.length !== measured.length) {
    complain(`${shown.measures.length} tables of measures for ${measured.length} cases`);
  }
  let compared = 0;
  shown.measures.forEach((table, index) => {
    for (const [[metric, ], ...cells] of table.rows) {
      cells.forEach(([text, sort], column) => {
        const head = table.heads[column + 1];
        if (head === "meaning") return;
        if (head === "95 % interval") {
          const known = measured[index].intervals[metric] !== undefined;
          if (known === (text === "–")) complain(`the interval of ${metric} is shown as ${text}`);
          return;
        }
        const of = head === "whole run" ? measured[index] : measured[index].stores[head];
        let value = at(of, metric);
        if (Array.isArray(value)) value = value.length;
        const same = value === null || value === undefined
          ? sort === undefined && text === "–" : Number(sort) === value;
        if (!same) complain(`${metric} of ${head}: shows ${text} (${sort}), the record has ${value}`);
        compared += 1;
      });
    }
  });
  for (const [metric, text] of shown.tiles) {
    const row = shown.measures[0]?.rows.find(([[name]]) => name === metric);
    const known = metric === "faults.injected"
      ? `${record.cases[0].faults.injected} of ${record.cases[0].faults.planned}` : row?.[1]?.[0];
    if (known !== text) complain(`the first screen shows ${metric} as ${text}, the table as ${known}`);
  }
  return compared;
}

/** Checks what every chart has to have. */
function checkCharts(shown, complain) {
  for (const chart of shown.charts) {
    if (chart.axes.length !== 2 || chart.axes.some((title) => !title)) complain(`${chart.id}: an axis has no title`);
    if (chart.ticks.some((labels) => labels.length < 2)) complain(`${chart.id}: an axis has fewer than two ticks`);
    if (!chart.title) complain(`${chart.id} has no title`);
    if (!shown.data.some((data) => data.id === chart.id)) complain(`${chart.id} has no data for the script`);
  }
}

/** Every fault of a case is a band, and identity dips in one of the stores. */
function checkDips(shown, record, complain) {
  const faults = record.cases[0].faults.list.filter((fault) => fault.injected_at_seconds !== null);
  const identity = shown.charts.filter((chart) => chart.id.includes("identity"));
  for (const chart of identity) {
    if (chart.faults !== faults.length) complain(`${chart.id}: ${chart.faults} bands for ${faults.length} faults`);
  }
  const data = shown.data.filter((chart) => chart.id.includes("identity"));
  const width = record.cases[0].series.bucket_seconds;
  const dips = faults.filter((fault) => data.some((chart) => chart.lines.some((line) =>
    chart.xs.some((x, index) => x + width > fault.injected_at_seconds
      && x < (fault.ended_at_seconds ?? Infinity) && line.ys[index] !== null && line.ys[index] < 50))));
  if (dips.length !== faults.length) complain(`identity dips at ${dips.length} of ${faults.length} faults`);
  return dips.length;
}

/** Uses the page: a reading under the pointer, a sorted table, a command to copy. */
async function use(page, complain) {
  // The charts of a matrix without an axis of numbers are in the sections of its cases.
  await page.evaluate(() => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
  const plot = page.locator("figure.chart .plot").first();
  if (await plot.count()) {
    await plot.scrollIntoViewIfNeeded();
    const box = await plot.boundingBox();
    await page.mouse.move(box.x + box.width * 0.6, box.y + box.height / 2);
    const tip = page.locator("#tip");
    if (!(await tip.isVisible()) || !(await tip.textContent()).trim()) complain("no reading under the pointer");
    await page.mouse.move(1, 1);
  }
  const table = page.locator(".table table").filter({ has: page.locator("caption", { hasText: "All measures" }) }).first();
  if (await table.isVisible()) {
    const firsts = () => table.evaluate((it) => [...it.tBodies[0].rows].map((row) => Number(row.cells[1].dataset.sort ?? -Infinity)));
    await table.locator("thead button").nth(1).click();
    const falling = await firsts();
    if (falling.some((value, index) => index > 0 && falling[index - 1] < value)) complain("a table is not sorted");
    await table.locator("thead button").nth(1).click();
    const rising = await firsts();
    if (rising.some((value, index) => index > 0 && rising[index - 1] > value)) complain("a table is not sorted upwards");
  }
}

for (const folder of folders) {
  const name = basename(folder);
  const complain = (what) => problems.push(`${name}: ${what}`);
  if (!existsSync(join(folder, "report.html"))) { complain("has no report.html"); continue; }
  const record = JSON.parse(readFileSync(join(folder, "record.json"), "utf8"));
  let line = "";
  for (const colorScheme of ["light", "dark"]) {
    for (const width of WIDTHS) {
      const options = { colorScheme, viewport: { width, height: 900 }, deviceScaleFactor: 1 };
      const { context, page } = await open(folder, options, complain);
      const shown = await read(page);
      if (shown.overflow > 0) complain(`${width} pixels: ${shown.overflow} too wide`);
      if (shown.verdict !== record.verdict) complain(`shows ${shown.verdict}, the record says ${record.verdict}`);
      if (record.cases.length === 1 && !(shown.reason && shown.reasonBottom < 900)) complain(`${width} pixels: the reason is not on the first screen`);
      if (shown.unnamed || shown.uncaptioned) complain(`${shown.unnamed} drawings without a name, ${shown.uncaptioned} tables without a caption`);
      if (shown.commands < 2 || shown.buttons !== shown.commands) complain(`${shown.buttons} buttons for ${shown.commands} commands`);
      checkCharts(shown, complain);
      const compared = compareFigures(shown, record, complain);
      line = `${shown.charts.length} charts, ${compared} figures`;
      if (name.includes("disconnect")) line += `, ${checkDips(shown, record, complain)} dips`;
      await page.screenshot({ path: join(shots, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      if (width === 1400) await use(page, complain);
      if (width === 800 && colorScheme === "light") {
        await page.emulateMedia({ media: "print" });
        const { overflow } = await read(page);
        if (overflow > 0) complain(`in print: ${overflow} pixels too wide`);
      }
      await context.close();
    }
  }
  // Without the script the page says the same.
  const { context, page } = await open(folder, { javaScriptEnabled: false, viewport: { width: 800, height: 900 } }, complain);
  const verdict = await page.locator("h1 .badge").first().textContent();
  if (verdict !== record.verdict) complain("says nothing without the script");
  await page.emulateMedia({ media: "print" });
  await page.screenshot({ path: join(shots, `${name}-print.png`), fullPage: true });
  await context.close();
  console.log(`${name}: ${record.verdict}, ${line}`);
}
await browser.close();

for (const problem of new Set(problems)) console.error(`problem: ${problem}`);
process.exit(problems.length > 0 ? 1 : 0);
