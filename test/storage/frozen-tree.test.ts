/** Trees of files that a database has superseded may be mapped, live ones never. */
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/core/clock.js'
import { parseMessageId, parsePartId, parseSessionId } from '../../src/core/ids.js'
import { messageKey, partKey, sessionKey } from '../../src/core/keys.js'
import { mapFrozen } from '../../src/storage/files/frozen-tree.js'
import { openFileStore } from '../../src/storage/files/opencode-files.js'
import type { FileMap } from '../../src/storage/maps/file-map.js'
import type { FileMaps } from '../../src/storage/maps/file-maps.js'
import { MappedSpan } from '../../src/storage/maps/mapped-span.js'
import { Slab } from '../../src/storage/slab.js'

const folder = mkdtempSync(join(tmpdir(), 'spanleaf-frozen-'))
afterAll(() => rmSync(folder, { recursive: true }))

const key = partKey(messageKey(sessionKey('opencode', parseSessionId('ses_a')), parseMessageId('msg_a')), parsePartId('prt_a'))
const TEXT = '{"type":"text","text":"hello"}'

/** Notes what it was asked to map, and maps it by copying. */
function copyingMaps(): FileMaps & { readonly asked: string[] } {
  const asked: string[] = []
  return {
    asked,
    open: (path) => {
      asked.push(path)
      return { path, length: TEXT.length, bytes: () => Buffer.from(TEXT) } as unknown as FileMap
    },
    stats: () => ({ live: 0, budget: 0 }),
  }
}

/** A data folder with one part, last written so many minutes ago. */
function tree(name: string, { database, minutes }: { readonly database: boolean; readonly minutes: number }): string {
  const storage = join(folder, name, 'storage')
  const part = join(storage, 'part', 'msg_a', 'prt_a.json')
  mkdirSync(join(storage, 'part', 'msg_a'), { recursive: true })
  writeFileSync(part, TEXT)
  const written = new Date(Date.now() - minutes * 60_000)
  utimesSync(part, written, written)
  if (database) writeFileSync(join(folder, name, 'opencode.db'), '')
  return storage
}

describe('a tree of files', () => {
  it.each([
    ['superseded and cold', { database: true, minutes: 60 }, true],
    ['superseded, and written to just now by an older client', { database: true, minutes: 0 }, false],
    ['live', { database: false, minutes: 60 }, false],
  ] as const)('that is %s is mapped: %s', async (what, state, isMapped) => {
    const storage = tree(what.replaceAll(/\W/g, '-'), state)
    const maps = copyingMaps()
    await using store = openFileStore(storage, systemClock, mapFrozen(storage, maps, systemClock))
    using slab = new Slab()
    const [price] = await store.price([{ kind: 'part', key }])
    const [leaf] = await store.open([{ kind: 'part', key, ...(price && { price }) }], slab)
    expect(leaf?.span instanceof MappedSpan).toBe(isMapped)
    expect(leaf?.span?.text()).toBe(TEXT)
    expect(maps.asked).toHaveLength(isMapped ? 1 : 0)
  })
})
