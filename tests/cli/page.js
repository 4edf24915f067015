// page.js PAGE REPORT - checks the page of a report: its elements are closed, it loads nothing, and it names all that the report names.
'use strict';
const fs = require('fs');

const page = fs.readFileSync(process.argv[2], 'utf8'), report = JSON.parse(fs.readFileSync(process.argv[3], 'utf8'));
const faults = [], open = [];
const empty = ['meta', '!DOCTYPE'];

for (const [, end, name] of page.matchAll(/<(\/?)([!a-zA-Z][a-zA-Z0-9]*)[^>]*>/g)) {
  if (empty.includes(name)) continue;
  if (!end) open.push(name);
  else if (open.pop() !== name) faults.push(`</${name}> closes something else`);
}
if (open.length > 0) faults.push(`not closed: ${open}`);
if (/<script|src=|href=|url\(/.test(page)) faults.push('it runs or loads something');

const text = page.replace(/<[^>]*>/g, '\n').replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&quot;/g, '"').replace(/&amp;/g, '&');
const lines = new Set(text.split('\n'));
const names = [report.output.path, report.args.model, ...report.warnings, ...report.nodes.map((node) => node.name),
  ...report.tensors.map((tensor) => tensor.name), ...report.accuracy.outputs.map((output) => output.name),
  ...report.search.trials.map((trial) => trial.what)];
for (const name of names) if (name !== '' && !lines.has(name)) faults.push(`not shown: ${name}`);
if (report.accuracy.int8 !== null && !lines.has(report.accuracy.int8.toFixed(2))) faults.push('top-1 is not shown');

faults.slice(0, 20).forEach((fault) => console.error(fault));
process.exit(faults.length === 0 ? 0 : 1);
