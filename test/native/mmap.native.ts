/** mmap-io, where it is installed and loads: the rules of mapped spans in processes of their own, which a signal may end. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadMapper } from '../../src/storage/maps/mmap.js'
import { REPOSITORY } from '../support/real-sets.js'
import { tempFolder } from '../support/temp.js'

const { why } = loadMapper()
const test = it.skipIf(why !== undefined)
const note = why === undefined ? '' : ` (skipped: ${why})`
const BYTES = 3 * 2 ** 20

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly seen: unknown
}

function ended(command: readonly string[]): Ended {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [...command], { encoding: 'utf8' })
  if (stderr !== '') throw new Error(stderr)
  return { code: status, signal, seen: stdout === '' ? undefined : JSON.parse(stdout) }
}

function child(deed: string): Ended {
  using folder = tempFolder()
  return ended(['--expose-gc', join(REPOSITORY, 'test', 'native', 'map-child.mjs'), deed, folder.path])
}

describe('a mapped file', () => {
  test(`that is truncated would end the process${note}`, () => {
    expect(child('unguarded')).toMatchObject({ code: null, signal: 'SIGBUS', seen: undefined })
  })

  test.each([
    ['untouched', `${BYTES} of x`],
    ['truncated', 'STALE_SPAN'],
    ['truncated behind the leaf', 'STALE_SPAN'],
    ['written anew, shorter', 'STALE_SPAN'],
    ['written anew, as long', 'STALE_SPAN'],
    ['written anew, longer', 'STALE_SPAN'],
    ['grown', `${BYTES} of x`],
    ['removed', `${BYTES} of x`],
    ['replaced', `${BYTES} of x`],
    ['rotated, then truncated', 'STALE_SPAN'],
    ['disposed, then truncated', 'SPAN_DISPOSED'],
  ])(`that is %s: %s, and the process goes on${note}`, (deed, seen) => {
    expect(child(deed)).toEqual({ code: 0, signal: null, seen })
  })

  test(`is not written to by who writes into its bytes, who lives on${note}`, () => {
    expect(child('written')).toEqual({ code: 0, signal: null, seen: { span: `${BYTES} of y`, file: `${BYTES} of x` } })
  })

  test(`of 2 GiB is read, and one a byte smaller mapped to its last byte${note}`, () => {
    expect(child('of 2 GiB')).toEqual({ code: 0, signal: null, seen: { huge: true, large: 1 } })
  })
})

describe.skipIf(process.platform !== 'linux')('maps that are dropped', () => {
  test(`leave nothing behind, of 200${note}`, () => {
    const { code, seen } = child('dropped')
    expect([code, seen]).toMatchObject([0, { before: { live: 200, mapped: 200 }, after: { live: 0, mapped: 0 } }])
    const { before, after } = seen as Record<'before' | 'after', { descriptors: number }>
    expect(before.descriptors - after.descriptors).toBe(200)
  })

  test(`count as long as somebody holds a view${note}`, () => {
    expect(child('a view kept')).toMatchObject({ code: 0, seen: { kept: { live: 1, mapped: 1 }, text: 'xxx', after: { live: 0, mapped: 0 } } })
  })

  test(`make room in the budget${note}`, () => {
    expect(child('past the budget')).toMatchObject({ code: 0, seen: { first: 16, why: '16 files are mapped already', second: 16 } })
  })
})

describe('without the peer', () => {
  /** The loader alone, in a project where `mmap-io` is what `index` says, or is not there. */
  function loading(index?: string): unknown {
    using project = tempFolder()
    const dist = join(project.path, 'dist')
    for (const file of ['storage/maps/mmap.js', 'core/errors.js']) cpSync(join(REPOSITORY, 'dist', file), join(dist, file))
    writeFileSync(join(project.path, 'package.json'), '{"type":"module"}')
    if (index !== undefined) {
      const peer = join(project.path, 'node_modules', 'mmap-io')
      mkdirSync(peer, { recursive: true })
      writeFileSync(join(peer, 'package.json'), '{"main":"index.js"}')
      writeFileSync(join(peer, 'index.js'), index)
    }
    const script = `import { loadMapper } from './storage/maps/mmap.js'; console.log(JSON.stringify(loadMapper().why ?? 'loaded'))`
    writeFileSync(join(dist, 'main.js'), script)
    return ended([join(dist, 'main.js')])
  }

  it.each([
    ['not there', undefined, 'the optional peer mmap-io is not installed'],
    ['throwing', 'throw new Error("built for another Node\\nand more")', 'mmap-io does not load: built for another Node'],
    ['without what was to be built', 'require("./absent.node")', `mmap-io was not built for Node ${process.version}`],
    ['another package', 'module.exports = {}', 'mmap-io does not load: it has no map()'],
    ['there', 'exports.map = () => {}', 'loaded'],
  ])('%s: the loader tells', (_, index, seen) => {
    expect(loading(index)).toEqual({ code: 0, signal: null, seen })
  })
})
