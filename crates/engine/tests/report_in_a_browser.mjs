// Opens the pages of reports in headless Chromium and compares what they show with their report.json.
//
//   node report_in_a_browser.mjs TOOLS           says whether all it needs is there: exit code 0, or 3 with what is missing
//   node report_in_a_browser.mjs TOOLS FOLDER    looks at each FOLDER/NAME/report.html
//
// TOOLS has playwright-core and axe-core in its node_modules. The browser is DATAFUSE_TEST_CHROMIUM, or the first of the usual names
// on the PATH. With DATAFUSE_TEST_PICTURES=DIR it leaves pictures and PDF files there, for a person to look at.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const ADDRESS = 'https://report.example/report.html';
const ROWS = 30;
const KEY_HOLDERS = 8;
const MATRIX = 40;
const WIDE = { width: 1100, height: 800 };
const NARROW = { width: 360, height: 740 };

const [tools, folder] = process.argv.slice(2);
const { chromium, axe, executablePath } = await needs();
if (!folder) process.exit(0);
const pictures = process.env.DATAFUSE_TEST_PICTURES;
if (pictures) fs.mkdirSync(pictures, { recursive: true });

const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
const browser = await chromium.launch({ executablePath, args: sandbox });
let failed = 0;
try {
  const names = fs.readdirSync(folder).sort();
  await Promise.all([lookAll(names), lookAll(names)]);
} finally {
  await browser.close();
}
process.exit(failed ? 1 : 0);

/// Takes names from the list until none is left.
async function lookAll(names) {
  for (let name = names.shift(); name; name = names.shift()) {
    const began = Date.now();
    try {
      await look(name);
      console.log(`${name}: good (${Date.now() - began} ms)`);
    } catch (error) {
      failed += 1;
      console.error(`${name}: ${error.stack}`);
    }
  }
}

async function needs() {
  const missing = (what) => {
    console.error(`${what} is not installed`);
    process.exit(3);
  };
  const require = createRequire(path.resolve(tools, 'node_modules') + path.sep);
  let chromium, axe;
  try {
    ({ chromium } = require('playwright-core'));
    axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
  } catch {
    missing(`playwright-core or axe-core, in ${tools},`);
  }
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  const candidates = [process.env.DATAFUSE_TEST_CHROMIUM, ...names.flatMap((name) => folders.map((at) => path.join(at, name)))];
  const executablePath = candidates.find((file) => file && fs.existsSync(file)) ?? missing('Chromium');
  return { chromium, axe, executablePath };
}

async function look(name) {
  const html = fs.readFileSync(path.join(folder, name, 'report.html'), 'utf8');
  const report = JSON.parse(fs.readFileSync(path.join(folder, name, 'report.json'), 'utf8'));
  for (const colorScheme of ['light', 'dark']) {
    await withPage(html, { colorScheme, viewport: WIDE }, async (page) => {
      await keepPicture(page, `${name}-${colorScheme}`);
      await isSelfContained(page);
      await contrasts(page);
      await isAccessible(page);
      if (colorScheme === 'dark') return;
      for (const [position, kind] of kinds(report).entries()) await figures(page, kind, position);
      await waterfall(page, report.waterfall);
      await withheldCounts(page, report);
      await pointing(page);
      await keyboard(page);
    });
  }
  await withPage(html, { colorScheme: 'light', viewport: NARROW }, async (page) => {
    await keepPicture(page, `${name}-narrow`);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= NARROW.width, `the page is ${width} pixels wide where ${NARROW.width} are to be had`);
    await isAccessible(page);
  });
  await withPage(html, { colorScheme: 'dark', viewport: WIDE }, (page) => onPaper(page, name));
}

/// Opens the page at an address that exists nowhere, and complains of any request but that for the page, and of anything it says.
async function withPage(html, options, use) {
  const context = await browser.newContext(options);
  const complaints = [];
  await context.route('**/*', (route) => {
    if (route.request().url() === ADDRESS) return route.fulfill({ body: html, contentType: 'text/html; charset=utf-8' });
    return route.abort();
  });
  const page = await context.newPage();
  page.on('request', (request) => {
    if (request.url() !== ADDRESS) complaints.push(`asked for ${request.url()}`);
  });
  page.on('console', (message) => complaints.push(`console: ${message.text()}`));
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => complaints.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
  page.on('popup', () => complaints.push('a window opened'));
  await page.goto(ADDRESS, { waitUntil: 'load' });
  await use(page);
  await context.close();
  assert.deepEqual(complaints, []);
}

async function keepPicture(page, name) {
  if (pictures) await page.screenshot({ path: path.join(pictures, `${name}.png`), fullPage: true });
}

async function isSelfContained(page) {
  const found = await page.evaluate(() => ({
    foreign: [...document.querySelectorAll('script, img, link, iframe, object, embed, audio, video, base, form, image, use')].length,
    handlers: [...document.querySelectorAll('*')].filter((e) => [...e.attributes].some((a) => /^on|^style$/.test(a.name))).length,
    policy: document.querySelector('meta[http-equiv="Content-Security-Policy"]').content,
    // The policy admits the page's own style: without it there would be no cards.
    card: getComputedStyle(document.querySelector('section')).borderTopStyle,
  }));
  assert.equal(found.foreign, 0);
  assert.equal(found.handlers, 0);
  assert.match(found.policy, /^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]{44}'; /);
  assert.equal(found.card, 'solid');
}

async function isAccessible(page) {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  assert.ok(passes.length > 20, 'axe looked at the page');
  const said = violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200)).join(' | ')}`);
  assert.deepEqual(said, []);
}

/// What axe does not look at: text on shapes (4.5 to 1), shapes on the card (3 to 1), and the shades apart in grey (1.8 to 1).
async function contrasts(page) {
  const found = await page.evaluate(() => {
    const parse = (color) => color.match(/[\d.]+/g).map(Number);
    const luminance = (color) => {
      const [r, g, b] = parse(color).slice(0, 3).map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (a, b) => {
      const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
      return (high + 0.05) / (low + 0.05);
    };
    const card = getComputedStyle(document.querySelector('section')).backgroundColor;
    const shapes = {};
    for (const shape of document.querySelectorAll('rect[class^="f-"], path[class^="f-"]')) {
      const { fill, stroke } = getComputedStyle(shape);
      const edge = stroke === 'none' ? 0 : contrast(stroke, card);
      shapes[shape.classList[0]] = Math.max(contrast(fill, card), edge);
    }
    const labels = [...document.querySelectorAll('.venn .mark')]
      .filter((mark) => !mark.querySelector('path.hatch'))
      .map((mark) => contrast(getComputedStyle(mark.querySelector('text')).fill, getComputedStyle(mark.querySelector('path')).fill));
    const tones = ['f-all', 'f-some', 'f-one']
      .map((tone) => document.querySelector(`.legend rect.${tone}`))
      .filter(Boolean)
      .map((shape) => getComputedStyle(shape).fill);
    const apart = tones.flatMap((a, at) => tones.slice(at + 1).map((b) => contrast(a, b)));
    return { shapes, labels, apart };
  });
  for (const [shape, contrast] of Object.entries(found.shapes)) assert.ok(contrast >= 3, `${shape} has ${contrast} to 1`);
  for (const contrast of found.labels) assert.ok(contrast >= 4.5, `a label has ${contrast} to 1`);
  for (const contrast of found.apart) assert.ok(contrast >= 1.8, `two shades have ${contrast} to 1`);
}

// ---- the figures ---------------------------------------------------------------------------------------------------------

function kinds(report) {
  const others = Object.entries(report.by_kind ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return [{ kind: report.kind, ...report }, ...others.map(([kind, of]) => ({ kind, ...of }))];
}

function words(count) {
  return count === null ? 'withheld' : String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

/// The rows of the table in a region: the texts of their cells, and what their first picture is like.
function rowsOf(page, label) {
  return page.getByRole('region', { name: label, exact: true }).locator('tbody tr:not(.part)').evaluateAll((rows) =>
    rows.map((row) => {
      const bar = row.querySelector('svg.bar');
      const within = bar?.getBoundingClientRect();
      const rects = [...(bar?.querySelectorAll('rect') ?? [])];
      return {
        cells: [...row.cells].map((cell) => cell.innerText.trim().split('\n')[0]),
        shade: [...row.cells].map((cell) => cell.className),
        full: within?.width,
        lengths: rects.map((rect) => rect.getBoundingClientRect().width),
        classes: rects.map((rect) => rect.getAttribute('class')),
      };
    }),
  );
}

async function figures(page, { kind, overlap, parties }, position) {
  assert.equal(await page.locator('.key .figure').nth(position).innerText(), words(overlap.all));
  const holders = await rowsOf(page, `Holders, by ${kind}`);
  assert.equal(holders.length, Math.min(parties.length, KEY_HOLDERS));
  holders.forEach((row, at) => {
    const { holder, unique, matched } = parties[at];
    const share = unique && matched !== null ? `${(Math.round((matched * 1000) / unique) / 10).toFixed(1)} %` : '-';
    assert.deepEqual(row.cells, [holder, words(unique), words(matched), share, '']);
    isBarOf(row, unique === null ? null : matched, unique);
  });
  await groups(page, kind, overlap, parties);
  await circles(page, kind, overlap, parties);
  await lanes(page, kind, overlap, parties);

  const depth = (await rowsOf(page, `At how many holders, by ${kind}`)).filter((row) => row.cells.length === 3);
  assert.equal(depth.at(-1).cells[0], `all ${parties.length}`);
  for (const row of depth) {
    const at = Number.parseInt(row.cells[0].replace('all ', ''), 10);
    isBarOf(row, overlap.at_least[at - 1].count, Math.max(...overlap.at_least.map((entry) => entry.count)));
    assert.equal(row.cells[1], words(overlap.at_least[at - 1].count));
  }

  const matrix = await rowsOf(page, `Each two holders, by ${kind}`);
  assert.equal(matrix.length, Math.min(parties.length, MATRIX));
  matrix.forEach((row, a) => {
    assert.equal(row.cells[0], parties[a].holder);
    parties.slice(0, MATRIX).forEach((_, b) => {
      const [x, y] = [parties[Math.min(a, b)].holder, parties[Math.max(a, b)].holder];
      const count = a === b ? parties[a].unique : overlap.pairwise.find((pair) => pair.a === x && pair.b === y).count;
      assert.equal(row.cells[b + 1], words(count), `${x} and ${y}`);
      if (a !== b) assert.equal(row.shade[b + 1] === 'hatched', count === null, `${x} and ${y}`);
    });
  });

  const funnels = await rowsOf(page, `Rows and matches of each holder, by ${kind}`);
  assert.equal(funnels.length, Math.min(parties.length, ROWS));
  const largest = Math.max(...parties.slice(0, ROWS).map((party) => party.rows));
  funnels.forEach((row, at) => {
    const { holder, rows, empty, invalid, duplicate, unique, matched } = parties[at];
    assert.deepEqual(row.cells, [holder, '', ...[rows, empty, invalid, duplicate, unique, matched].map(words)]);
    if (rows === null) return assert.deepEqual(row.classes, ['hatch']);
    const length = row.lengths.reduce((sum, length) => sum + length, 0);
    // Small pieces are drawn larger than they are, and there are gaps between pieces.
    assert.ok(Math.abs(length - (row.full * rows) / largest) < row.full * 0.03 + 2, `${holder}: ${length} of ${row.full}`);
    assert.equal(row.classes.includes('mixed'), matched === null && unique > 0);
  });
}

async function waterfall(page, waterfall) {
  if (!waterfall) return assert.equal(await page.getByText('Which identifier did it').count(), 0);
  const lines = await rowsOf(page, 'Rows by identifier kind');
  assert.equal(lines.length, Math.min(waterfall.holders.length, ROWS));
  lines.forEach((row, at) => {
    const { holder, rows, steps, matched } = waterfall.holders[at];
    const share = rows && matched !== null ? `${(Math.round((matched * 1000) / rows) / 10).toFixed(1)} %` : '-';
    assert.deepEqual(row.cells, [holder, '', ...steps.map((step) => words(step.rows)), words(matched), share]);
    assert.equal(row.classes.includes('hatch'), matched === null, `${holder} is hatched where withheld`);
  });
}

async function groups(page, kind, overlap, parties) {
  if (overlap.regions.length === 0) {
    assert.equal(await page.getByText('No customers at all.').count(), 1);
    return;
  }
  const region = page.getByRole('region', { name: `Groups of holders, by ${kind}`, exact: true });
  const rows = (await rowsOf(page, `Groups of holders, by ${kind}`)).filter((row) => row.cells.length > 1);
  const parts = [overlap.regions.filter((r) => r.holders.length > 1), overlap.regions.filter((r) => r.holders.length === 1)];
  assert.equal(rows.length, parts.reduce((sum, part) => sum + Math.min(part.length, ROWS), 0));
  const more = parts.filter((part) => part.length > ROWS).map((part) => `and ${words(part.length - ROWS)} more groups, in report.json`);
  assert.deepEqual(await region.locator('td.more[colspan]:not(.towers td)').allInnerTexts(), more);
  if (parties.length > ROWS) {
    // The group of all holders is always among them, under that name.
    const all = rows.find((row) => row.cells[0] === `all ${parties.length} holders`);
    return assert.equal(all.cells[1], words(overlap.all));
  }
  const heads = (await region.locator('thead th.set').allInnerTexts()).map((text) => text.trim());
  assert.deepEqual(heads, parties.map((party) => party.holder));
  const shown = new Map();
  for (const row of rows) {
    const inside = parties.filter((_, at) => row.cells[at] === 'yes').map((party) => party.holder);
    assert.ok(parties.every((_, at) => ['yes', 'no'].includes(row.cells[at])));
    shown.set(inside.join(), row);
  }
  assert.equal(shown.size, rows.length);
  for (const part of parts) {
    const counts = part.filter((r) => r.count !== null).map((r) => r.count).sort((a, b) => b - a);
    for (const { holders, count } of part) {
      const row = shown.get(holders.join());
      if (!row) {
        assert.ok(part.length > ROWS && (count === null || count <= counts[ROWS - 2]), `${holders} is among the largest`);
        continue;
      }
      assert.equal(row.cells[parties.length], words(count));
      isBarOf(row, count);
    }
    // The bars of one part are to one scale.
    const drawn = part.map((r) => [r.count, shown.get(r.holders.join())]).filter(([count, row]) => count && row);
    const [most, longest] = drawn.reduce((a, b) => (b[0] > a[0] ? b : a), [0, { lengths: [0] }]);
    for (const [count, row] of drawn) {
      const due = Math.max((longest.lengths[0] * count) / most, row.full * 0.004);
      assert.ok(Math.abs(row.lengths[0] - due) < 1, `${count}: ${row.lengths[0]} in the place of ${due}`);
    }
  }
}

/// A withheld count is hatched over the whole length, zero has no bar, and any other one has a bar that can be seen.
function isBarOf(row, count, largest) {
  if (count === null) {
    assert.deepEqual(row.classes, ['hatch']);
    assert.ok(row.lengths[0] > row.full - 2);
    return;
  }
  assert.equal(row.classes.length, count === 0 ? 0 : 1);
  if (count === 0) return;
  assert.match(row.classes[0], /^f-(one|some|all|matched)$/);
  assert.ok(row.lengths[0] >= 0.3);
  if (largest) assert.ok(Math.abs(row.lengths[0] - Math.max((row.full * count) / largest, row.full * 0.004)) < 2);
}

function named(holders) {
  return holders.length === 1 ? `${holders[0]} only` : holders.join(' and ');
}

async function circles(page, kind, overlap, parties) {
  const picture = page.getByRole('group', { name: `Circles, by ${kind}`, exact: true });
  if (![2, 3].includes(parties.length) || overlap.regions.length === 0) return assert.equal(await picture.count(), 0);
  const marks = await picture.getByRole('img').evaluateAll((marks) =>
    marks.map((mark) => {
      const [shape, text] = [mark.querySelector('path'), mark.querySelector('text')];
      const box = text.getBBox();
      const at = (x, y) => shape.isPointInFill(new DOMPoint(x, y));
      const middle = box.y + box.height / 2;
      return {
        said: mark.getAttribute('aria-label'),
        text: text.textContent,
        hatched: shape.getAttribute('class') === 'hatch',
        inside: [box.x, box.x + box.width / 2, box.x + box.width].map((x) => at(x, middle)),
      };
    }),
  );
  assert.equal(marks.length, 2 ** parties.length - 1);
  const sets = Array.from({ length: marks.length }, (_, mask) => parties.filter((_, at) => ((mask + 1) >> at) & 1).map((p) => p.holder));
  for (const set of sets) {
    const found = overlap.regions.find((region) => region.holders.join() === set.join());
    const count = found ? found.count : 0;
    const mark = marks.find((mark) => mark.said === `${named(set)}: ${words(count)}`);
    assert.ok(mark, `${named(set)}: ${words(count)} is not among ${marks.map((mark) => mark.said)}`);
    assert.equal(mark.text, words(count));
    assert.equal(mark.hatched, count === null);
    assert.deepEqual(mark.inside, [true, true, true], `the label of ${mark.said} is within its shape`);
  }
}

async function lanes(page, kind, overlap, parties) {
  const picture = page.getByRole('group', { name: `To scale, by ${kind}`, exact: true });
  const total = overlap.regions.reduce((sum, region) => sum + region.count, 0);
  const drawn = parties.length <= 5 && total > 0 && overlap.regions.every((region) => region.count !== null);
  assert.equal(await picture.count(), drawn ? 1 : 0);
  if (!drawn) return;
  const { full, marks } = await picture.evaluate((svg) => ({
    full: svg.getBoundingClientRect().width,
    marks: [...svg.querySelectorAll('.mark')].map((mark) => ({
      said: mark.getAttribute('aria-label'),
      pieces: [...mark.querySelectorAll('rect')].map((rect) => ({ lane: rect.y.baseVal.value, width: rect.getBoundingClientRect().width })),
    })),
  }));
  assert.equal(marks.length, overlap.regions.length);
  for (const { holders, count } of overlap.regions) {
    const mark = marks.find((mark) => mark.said === `${named(holders)}: ${words(count)}`);
    assert.ok(mark, `${holders} are to scale`);
    assert.equal(mark.pieces.length, holders.length);
    for (const { width } of mark.pieces) assert.ok(Math.abs(width - (full * count) / total) < 2.1, mark.said);
  }
}

async function withheldCounts(page, report) {
  const section = page.locator('section').filter({ has: page.getByRole('heading', { name: 'What is withheld' }) });
  const text = await section.innerText();
  if (report.suppressed.length === 0) return assert.match(text, /Nothing\./);
  assert.ok(text.includes(`${words(report.suppressed.length)} count`), text);
  const rows = await rowsOf(page, 'Rules');
  assert.equal(rows.reduce((sum, row) => sum + Number(row.cells[3].replaceAll(',', '')), 0), report.suppressed.length);
  for (const { rule, set_by } of report.suppressed) assert.ok(rows.some((row) => row.cells[0] === rule && row.cells[1] === set_by));
}

// ---- the use of it -------------------------------------------------------------------------------------------------------

/// Pointing at a piece of the picture to scale says its count.
async function pointing(page) {
  const lane = page.locator('.lanes').first();
  if ((await lane.count()) === 0) return;
  const mark = lane.locator('.mark').first();
  assert.equal(await mark.locator('.reading').isVisible(), false);
  await mark.locator('rect').first().hover();
  assert.equal(await mark.locator('.reading').isVisible(), true);
  assert.equal(await mark.locator('.reading').textContent(), await mark.getAttribute('aria-label'));
  assert.equal(await lane.locator('.reading:visible').count(), 1);
  assert.equal(await lane.locator('.hint').isVisible(), false);
  await page.mouse.move(0, 0);
}

/// The tab key reaches every link, picture, table and detail in the order of the page, and it can be seen where it is.
async function keyboard(page) {
  const due = await page.evaluate(() => {
    const stops = [...document.querySelectorAll('a[href], .mark, .scroll, summary')];
    stops.forEach((stop, at) => (stop.dataset.stop = at));
    return stops.length;
  });
  await page.evaluate(() => document.activeElement?.blur());
  for (let at = 0; at < due; at += 1) {
    await page.keyboard.press('Tab');
    const found = await page.evaluate(() => {
      const active = document.activeElement;
      const shape = active.querySelector(':scope > path, :scope > rect');
      const seen = active.matches('.mark')
        ? Number.parseFloat(getComputedStyle(shape).strokeWidth) >= 4
        : getComputedStyle(active).outlineStyle === 'solid';
      const named = active.matches('a, summary') ? active.innerText : active.getAttribute('aria-label');
      return { stop: active.dataset.stop, seen, name: named };
    });
    assert.equal(found.stop, String(at), `tab ${at + 1} is at ${found.name}`);
    assert.ok(found.seen, `${found.name} shows that it has the focus`);
    assert.ok(found.name, `stop ${at} has a name`);
  }
  const matrix = page.locator('.both-ways').first();
  if ((await matrix.count()) === 0 || !(await matrix.evaluate((region) => region.scrollWidth > region.clientWidth))) return;
  await matrix.focus();
  const before = await matrix.locator('tbody th').first().boundingBox();
  for (let times = 0; times < 5; times += 1) await page.keyboard.press('ArrowRight');
  await page.waitForFunction((region) => region.scrollLeft > 100, await matrix.elementHandle());
  const after = await matrix.locator('tbody th').first().boundingBox();
  assert.ok(Math.abs(before.x - after.x) < 3, 'names stay in sight while the matrix scrolls');
}

/// On paper it is light whatever the setting, nothing is cut off by a region that scrolls, and details are open.
async function onPaper(page, name) {
  await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
  const found = await page.evaluate(() => ({
    paper: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.body).color,
    cut: [...document.querySelectorAll('.scroll')].filter((region) => getComputedStyle(region).overflowX !== 'visible').length,
    cells: [...document.querySelectorAll('details li')].filter((cell) => cell.getBoundingClientRect().height === 0).length,
  }));
  assert.deepEqual(found, { paper: 'rgb(255, 255, 255)', ink: 'rgb(26, 30, 35)', cut: 0, cells: 0 });
  const pdf = await page.pdf({ preferCSSPageSize: true, format: 'A4' });
  assert.equal(pdf.subarray(0, 5).toString('latin1'), '%PDF-');
  assert.ok(pdf.length > 20_000 && pdf.includes('/Type /Page'), `${pdf.length} bytes`);
  if (pictures) fs.writeFileSync(path.join(pictures, `${name}.pdf`), pdf);
}
