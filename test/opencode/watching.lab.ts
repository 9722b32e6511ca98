/** A watch all the while a real OpenCode answers: each turn is told, and what was told is what a fresh look finds. */
import { beforeAll, describe, expect, test } from 'vitest'
import { openSessions, type SessionChange, type Sessions, watchSessions } from '../../src/index.js'
import { type Machine, makeMachine, makeProject } from './machine.js'
import { type MockModel, startModel } from './model.js'
import { binaryAt, runPlace, tell } from './run-place.js'
import { OpenCode, until } from './server.js'

const place = runPlace()
const TURNS = 3

describe(`OpenCode ${place.version}, while it is watched`, () => {
  let model: MockModel
  let machine: Machine
  let server: OpenCode

  beforeAll(async () => {
    model = await startModel()
    machine = makeMachine(place, 'watch', model.url)
    server = await OpenCode.start(machine, binaryAt(place, place.version), makeProject(machine, 'alpha', false))
    return async () => {
      await server.kill()
      await model[Symbol.asyncDispose]()
    }
  })

  test('each turn of two sessions is told, and the end is what a fresh look finds', async () => {
    const first = await server.newSession({ title: 'There before' })
    await turn(first, 0)
    await using sessions = await openSessions({ data: machine.data })
    const told: SessionChange[] = []
    const ending = new AbortController()
    const watching = (async () => {
      for await (const change of watchSessions(sessions, { signal: ending.signal })) told.push(change)
    })()
    const second = await server.newSession({ title: 'Made meanwhile' })
    for (let number = 1; number <= TURNS; number++) {
      for (const session of [first, second]) {
        const before = told.length
        await turn(session, number)
        await until(`turn ${number} is told`, async () => told.slice(before).find(({ session: key }) => key.session === session.id))
      }
    }
    expect(told.find(({ session }) => session.session === second.id)?.kind).toBe('added')
    expect(told.filter(({ kind }) => kind === 'removed')).toEqual([])
    await sessions.refresh()
    await using fresh = await openSessions({ data: machine.data })
    expect(await indexOf(sessions)).toEqual(await indexOf(fresh))
    ending.abort()
    await watching
    tell(place, 'changes told of 7 turns', told.length)
  })

  async function turn(session: Awaited<ReturnType<OpenCode['newSession']>>, number: number): Promise<void> {
    const prompt = `Turn ${number} of ${session.id}`
    model.script(prompt, [{ text: `An answer that comes in pieces, for turn ${number}. `.repeat(40), chunk: 64, everyMs: 10 }])
    await server.begin(session, prompt)
    await server.untilSettled(session, 200)
  }
})

async function indexOf({ index }: Sessions): Promise<unknown> {
  const metas = index.sessionsByTime()
  const messages: unknown[] = []
  for (const { key } of metas) messages.push(await index.messages(key))
  return [metas, messages]
}
