/** Figures as lines of a table, and targets as verdicts. */

const COLUMNS = [
  ['', 17],
  ['baseline ms', 24],
  ['spanleaf ms', 24],
  ['ratio', 6],
  ['paired', 7],
  ['RSS MB', 9],
  ['targets', 0],
]

const LIMITS = {
  ratio: { text: (value) => `ratio <= ${value}`, met: (seen, limit) => seen <= limit },
  medianMs: { text: (value) => `<= ${value} ms`, met: (seen, limit) => seen <= limit },
  rssMb: { text: (value) => `RSS < ${value} MB`, met: (seen, limit) => seen < limit },
  addedMs: { text: (value) => `<= +${value} ms`, met: (seen, limit) => seen <= limit },
  unchangedOpened: { text: (value) => `${value} unchanged parts opened`, met: (seen, limit) => seen === limit },
}

export function verdicts(targets, figures) {
  return Object.entries(targets).map(([name, limit]) => ({ target: LIMITS[name].text(limit), met: LIMITS[name].met(figures[name], limit) }))
}

export function header() {
  return cells(COLUMNS.map(([title]) => title))
}

export function line(result) {
  if (result.skipped !== undefined) return `${result.name.padEnd(COLUMNS[0][1])} skipped: ${result.skipped}`
  const { name, baseline, measured, ratio, pairedRatio, rssMb, addedMs, verdicts } = result
  const change = addedMs === undefined ? ratio.toFixed(2) : `${addedMs < 0 ? '' : '+'}${addedMs.toFixed(2)}`
  const targets = verdicts.map(({ target, met }) => `${target}: ${met ? 'met' : 'NOT MET'}`)
  return [
    cells([name, range(baseline), range(measured), change, pairedRatio?.toFixed(2) ?? '', rssMb?.toFixed(0) ?? '', targets.join('; ')]),
    ...notes(result),
  ].join('\n')
}

function* notes({ name, openMs, measured, floor, note: own }) {
  if (own !== undefined) yield note(own)
  if (/^(list|ls)-/.test(name)) yield note(`of it, opening the stores: ${openMs.toFixed(1)} ms`)
  if (name.startsWith('one-')) yield note(`with the index open: ${(measured.median - openMs).toFixed(1)} ms; opening it: ${openMs.toFixed(1)} ms`)
  if (name.startsWith('tail-')) yield note('left the session of 50 messages, right the one of 5,000')
  if (floor?.skipped !== undefined) yield note(`C floor skipped: ${floor.skipped}`)
  else if (floor !== undefined)
    yield note(`C floor (open, read, close of ${floor.files} files): ${floor.ms.toFixed(0)} ms, ${floor.microsecondsPerFile} us per file`)
}

function note(text) {
  return `${' '.repeat(COLUMNS[0][1])} ${text}`
}

function range({ min, median, max }) {
  const digits = median < 10 ? 2 : median < 100 ? 1 : 0
  return `${median.toFixed(digits)} [${min.toFixed(digits)}-${max.toFixed(digits)}]`
}

function cells(texts) {
  return texts
    .map((text, at) => text.padEnd(COLUMNS[at][1]))
    .join(' ')
    .trimEnd()
}
