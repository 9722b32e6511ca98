import { describe, expect, it } from 'vitest'
import { parseMessageId } from '../../src/core/ids.js'
import { diffSession } from '../../src/indexer/diff.js'
import type { LedgerRow } from '../../src/indexer/state/rows.js'
import { projectMessage } from '../../src/indexer/text/projection.js'
import type { MessageNode } from '../../src/tree/types.js'
import { manualClock } from '../support/clocks.js'
import { DAY, generatedId, WRAP } from '../support/corpus.js'
import { keyOf, metaOf, nodeOf, World } from '../support/index-world.js'

/** Which of the messages, made at these times, are hidden by a revert to `revert`. */
async function visible(times: readonly number[], revert: string): Promise<readonly number[]> {
  const world = new World(manualClock(WRAP + DAY))
  const session = world.add('ses_a', [], { updated: WRAP + 1000, revert })
  session.messages = times.map((time) => ({ id: generatedId('msg', time), role: 'user', text: String(time), changed: time, version: 1 }))
  const key = keyOf('ses_a')
  const tail = {
    meta: metaOf(session),
    messages: session.messages.map((message) => nodeOf(key, message)),
    present: session.messages.map(({ id }) => parseMessageId(id)),
    complete: true,
  }
  const input = { ledger: new Map(), tail, meta: 'meta', now: WRAP + DAY, quantum: 100, project: async (node: MessageNode) => projectMessage(node) }
  const { upserts } = await diffSession(input, { settleMs: 0, abandonMs: 0 })
  return upserts.map(({ projected }) => Number(projected.chunks[0]))
}

describe('a revert to a message that is not there', () => {
  const times = [WRAP - 3000, WRAP - 1000, WRAP + 1000, WRAP + 3000]

  it('from before the wrap of ids hides what was made later, on both sides of it', async () => {
    expect(await visible(times, generatedId('msg', WRAP - 2000))).toEqual(times.slice(0, 1))
  })

  it('from after the wrap hides nothing of before it', async () => {
    expect(await visible(times, generatedId('msg', WRAP + 2000))).toEqual(times.slice(0, 3))
  })

  it('tells messages of one millisecond apart by their ids', async () => {
    expect(await visible(times, generatedId('msg', WRAP - 1000, 0))).toEqual(times.slice(0, 1))
    expect(await visible(times, generatedId('msg', WRAP - 1000, 2))).toEqual(times.slice(0, 2))
  })

  it('whose id tells no time hides nothing', async () => {
    expect(await visible(times, 'msg-by-hand')).toEqual(times)
  })
})

it('a message that was first seen in the future is seen anew, so that a clock set back delays nothing by as much', async () => {
  const clock = manualClock(WRAP)
  const world = new World(clock)
  const session = world.add('ses_a', [], { updated: WRAP })
  session.messages = [{ id: 'msg_1', role: 'user', text: 'text', changed: WRAP, version: 1 }]
  const key = keyOf('ses_a')
  const message = parseMessageId('msg_1')
  const tail = { meta: metaOf(session), messages: session.messages.map((one) => nodeOf(key, one)), present: [message], complete: true }
  const project = async (node: MessageNode) => projectMessage(node)
  const diff = (ledger: ReadonlyMap<typeof message, LedgerRow>, now: number) =>
    diffSession({ ledger, tail, meta: 'meta', now, quantum: 9, project }, { settleMs: 10_000, abandonMs: 60_000 })
  const first = await diff(new Map(), WRAP)
  expect(first.notes).toMatchObject([{ message, row: { state: 'volatile', at: WRAP } }])
  const back = WRAP - 3_600_000
  const again = await diff(new Map(first.notes.map(({ row }) => [message, row])), back)
  expect(again.notes).toMatchObject([{ message, row: { state: 'volatile', at: back } }])
  const ledger = new Map(again.notes.map(({ row }) => [message, row]))
  expect((await diff(ledger, back + 5000)).notes).toEqual([])
  // Written, it keeps when it was first seen: read once more, it is as final as it was.
  expect((await diff(ledger, back + 10_000)).upserts).toMatchObject([{ seen: back }])
})
