/** Logs that an earlier process listed are not read before they are written to. */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { systemClock } from '../../../src/core/clock.js'
import { openLogStore } from '../../../src/storage/jsonl/open-logs.js'
import { createFileMaps } from '../../../src/storage/maps/file-maps.js'
import { tempFolder } from '../../support/temp.js'
import { workOf } from '../../support/work.js'

const IDS = ['0196f1d0-0000-7000-8000-000000000001', '0196f1d0-0000-7000-8000-000000000002']
const opened = (path: string) => openLogStore('pi-jsonl', path, { clock: systemClock, maps: createFileMaps({ map: 'auto', clock: systemClock }) })
const line = (document: object): string => `${JSON.stringify(document)}\n`
const said = (id: string, text: string): string =>
  line({ type: 'message', id, parentId: null, timestamp: '2026-03-01T10:00:01Z', message: { role: 'user', content: [{ type: 'text', text }] } })

it('gives the same entries without a look into the files, and reads the one that grew', async () => {
  using folder = tempFolder()
  const own = join(folder.path, '--srv--')
  mkdirSync(own)
  const fileOf = (id = ''): string => join(own, `2026-03-01T10-00-00-000Z_${id}.jsonl`)
  for (const id of IDS)
    writeFileSync(fileOf(id), line({ type: 'session', version: 3, id, timestamp: '2026-03-01T10:00:00Z', cwd: '/srv' }) + said('a', 'hello'))
  await using first = opened(folder.path)
  const { entries } = await first.sessions()
  expect(entries.map(({ key }) => key.session as string).sort()).toEqual(IDS)
  const before = { entries: structuredClone(entries) }

  await using later = opened(folder.path)
  const { value: same, work } = await workOf(later, () => later.sessions({ before }))
  expect([same.entries === before.entries, work.files, work.bytes]).toEqual([true, 0, 0])
  const key = same.entries[0]?.key
  expect(key && (await later.messages(key)).entries.length).toBe(1)

  appendFileSync(fileOf(IDS[1]), said('b', 'more'))
  const grown = await later.sessions({ before: { entries: same.entries } })
  const moved = grown.entries.filter((entry) => !same.entries.includes(entry))
  expect(moved.map(({ key, record }) => [key.session, record?.entries])).toEqual([[IDS[1], 3]])
})
