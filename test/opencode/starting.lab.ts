/** The first start of a real OpenCode, watched from before it has a data folder. */
import { expect, test } from 'vitest'
import { openSessions } from '../../src/index.js'
import { makeMachine, makeProject } from './machine.js'
import { startModel } from './model.js'
import { watchOpening } from './opening-watch.js'
import { binaryAt, runPlace, tell } from './run-place.js'
import { OpenCode } from './server.js'

const place = runPlace()

test(`OpenCode ${place.version}, on its first start: no store yet, then an empty one, then a session`, async () => {
  await using model = await startModel()
  const machine = makeMachine(place, 'starting', model.url)
  const starting = OpenCode.start(machine, binaryAt(place, place.version), makeProject(machine, 'alpha', false))
  const first = await watchOpening(machine.data, [], starting)
  await using server = await starting
  const made = server.newSession({ title: 'The first' })
  const second = await watchOpening(machine.data, [], made)
  expect([...first.wrong, ...second.wrong]).toEqual([])
  expect(first.early).toBeGreaterThan(0)
  expect(first.opened).toBeGreaterThan(10)
  await using sessions = await openSessions({ data: machine.data })
  expect(sessions.index.sessionsByTime().map(({ id }) => id)).toEqual([(await made).id])
  tell(place, 'opened while starting', first.opened + second.opened)
})
