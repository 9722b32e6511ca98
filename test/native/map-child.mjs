// One deed of mapping in a process of its own, that a signal may end: node map-child.mjs DEED FOLDER. Prints what it saw as one line of JSON.
import { appendFileSync, closeSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseSessionId } from '../../dist/core/ids.js'
import { sessionKey } from '../../dist/core/keys.js'
import { createFileMaps } from '../../dist/storage/maps/file-maps.js'
import { MappedSpan } from '../../dist/storage/maps/mapped-span.js'
import { loadMapper } from '../../dist/storage/maps/mmap.js'

const [deed, folder] = process.argv.slice(2)
const path = join(folder, 'log.jsonl')
const CONTENT = Buffer.alloc(3 * 2 ** 20, 'x')
const scope = { disposed: false }
const maps = createFileMaps({ map: 1 })

const ON_A_SPAN = {
  untouched: () => {},
  truncated: () => truncateSync(path, 0),
  'truncated behind the leaf': () => truncateSync(path, 2 ** 21),
  'written anew, shorter': () => writeFileSync(path, 'short'),
  'written anew, as long': () => writeFileSync(path, Buffer.alloc(CONTENT.length, 'y')),
  'written anew, longer': () => writeFileSync(path, Buffer.alloc(CONTENT.length * 2, 'y')),
  grown: () => appendFileSync(path, CONTENT),
  removed: () => rmSync(path),
  replaced: () => {
    writeFileSync(`${path}.new`, 'short')
    renameSync(`${path}.new`, path)
  },
  'rotated, then truncated': () => {
    renameSync(path, `${path}.1`)
    writeFileSync(path, CONTENT)
    truncateSync(`${path}.1`, 1)
  },
  'disposed, then truncated': () => {
    scope.disposed = true
    truncateSync(path, 0)
  },
}

const DEEDS = {
  /** What all the rules are about. */
  unguarded() {
    writeFileSync(path, CONTENT)
    const fd = openSync(path, 'r')
    const bytes = loadMapper().mapper.map(fd, CONTENT.length)
    truncateSync(path, 0)
    return bytes.indexOf(0x79)
  },

  written() {
    const span = spanOf(opened(path, CONTENT))
    span.bytes().fill(0x79)
    return { span: summary(span), file: counts(readFileSync(path)) }
  },

  async dropped() {
    ;(() => {
      for (let at = 0; at < 200; at++) opened(`${path}${at}`, 'one\n')
    })()
    const before = now()
    const after = await settled()
    return { before, after }
  },

  /** The span, the map and the tree are gone; the caller holds three bytes. */
  async 'a view kept'() {
    let view = (() => spanOf(opened(path, CONTENT)).bytes().subarray(5, 8))()
    const kept = await settled()
    const text = Buffer.from(view).toString()
    view = undefined
    return { kept, text, after: await settled() }
  },

  async 'past the budget'() {
    const few = createFileMaps({ map: 1, budget: 16 })
    const all = () =>
      Array.from({ length: 50 }, (_, at) => {
        writeFileSync(`${path}${at}`, 'one\n')
        return few.open(`${path}${at}`, statSync(`${path}${at}`)) !== undefined
      }).filter((mapped) => mapped).length
    const first = all()
    const { why } = few.stats()
    await settled()
    for (let at = 0; at < 50; at++) rmSync(`${path}${at}`)
    return { first, why, second: all() }
  },

  'of 2 GiB'() {
    closeSync(openSync(path, 'w'))
    truncateSync(path, 2 ** 31)
    const [huge] = [maps.open(path, statSync(path))]
    truncateSync(path, 2 ** 31 - 1)
    const large = maps.open(path, statSync(path))
    return { huge: huge === undefined, large: large?.bytes(2 ** 31 - 2, 1).length }
  },

  loading() {
    return loadMapper().why ?? 'loaded'
  },
}

const result = deed in ON_A_SPAN ? spanWhile(ON_A_SPAN[deed]) : await DEEDS[deed]()
console.log(JSON.stringify(result))

function spanWhile(change) {
  const span = spanOf(opened(path, CONTENT))
  span.bytes()
  change()
  return summary(span)
}

function opened(file, content) {
  writeFileSync(file, content)
  const map = maps.open(file, statSync(file))
  if (map === undefined) throw new Error(`not mapped: ${maps.stats().why}`)
  return map
}

function spanOf(map) {
  return new MappedSpan(sessionKey('opencode', parseSessionId('s')), { path }, undefined, scope, map, 0, map.length)
}

/** Touches every byte. */
function summary(span) {
  try {
    return counts(span.bytes(), span.text())
  } catch (error) {
    return error.code ?? String(error)
  }
}

function counts(bytes, text = Buffer.from(bytes).toString()) {
  const odd = bytes.findIndex((byte) => byte !== bytes[0])
  return `${bytes.length} of ${text[0]}${odd < 0 ? '' : ' and others'}`
}

/** Live by our count, maps by the kernel's, descriptors by the system's. */
function now() {
  const mapped = readFileSync('/proc/self/maps', 'utf8').split('\n')
  return {
    live: maps.stats().live,
    mapped: mapped.filter((line) => line.includes(folder)).length,
    descriptors: readdirSync('/proc/self/fd').length,
  }
}

async function settled() {
  for (let round = 0; round < 5; round++) {
    global.gc()
    await delay(10)
  }
  return now()
}
