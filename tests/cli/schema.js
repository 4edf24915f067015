// schema.js SCHEMA REPORT - checks a report against docs/report.schema.json: the part of JSON Schema which that file uses.
'use strict';
const fs = require('fs');

const [schema, report] = process.argv.slice(2).map((path) => JSON.parse(fs.readFileSync(path, 'utf8')));
const faults = [];

function typeOf(value) {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}

function hasType(value, type) {
  const found = typeOf(value);
  return found === type || (type === 'number' && found === 'integer');
}

const rules = {
  $ref: (value, ref, rule, at) => check(value, ref.split('/').slice(1).reduce((node, key) => node[key], schema), at),
  type: (value, type, rule, at) => {
    if (![].concat(type).some((one) => hasType(value, one))) faults.push(`${at}: ${typeOf(value)}, expected ${type}`);
  },
  const: (value, expected, rule, at) => { if (value !== expected) faults.push(`${at}: ${value}, expected ${expected}`); },
  enum: (value, words, rule, at) => { if (!words.includes(value)) faults.push(`${at}: ${value} is none of ${words}`); },
  minimum: (value, least, rule, at) => { if (value < least) faults.push(`${at}: ${value} is below ${least}`); },
  pattern: (value, text, rule, at) => { if (!new RegExp(text).test(value)) faults.push(`${at}: ${value} is not ${text}`); },
  items: (value, items, rule, at) => value.forEach((one, i) => check(one, items, `${at}[${i}]`)),
  required: (value, names, rule, at) => names.forEach((name) => { if (!(name in value)) faults.push(`${at}: no ${name}`); }),
  properties: (value, properties, rule, at) => {
    for (const name of Object.keys(properties)) if (name in value) check(value[name], properties[name], `${at}.${name}`);
  },
  additionalProperties: (value, more, rule, at) => {
    for (const name of Object.keys(value)) {
      if (rule.properties && name in rule.properties) continue;
      if (more === false) faults.push(`${at}: ${name} is not in the schema`);
      else check(value[name], more, `${at}.${name}`);
    }
  },
};
const words = ['$schema', '$defs', 'title', 'description'];

// null has a type and no properties.
function check(value, rule, at) {
  for (const [name, argument] of Object.entries(rule)) {
    if (value === null && name !== 'type' && name !== '$ref') continue;
    if (rules[name]) rules[name](value, argument, rule, at);
    else if (!words.includes(name)) faults.push(`schema: this checker does not know '${name}'`);
  }
}

check(report, schema, 'report');
faults.slice(0, 20).forEach((fault) => console.error(fault));
process.exit(faults.length === 0 ? 0 : 1);
