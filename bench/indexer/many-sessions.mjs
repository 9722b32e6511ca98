/** Writes a database of small sessions. Argument: {"data","sessions"}. */
import { openWriter } from '../../test/soak/store-writer.mjs'
import { say } from './world.mjs'

const { data, sessions } = JSON.parse(process.argv[2])
const writer = openWriter('sqlite', data)
for (let at = 0; at < sessions; at++) {
  const created = 1_760_000_000_000 + at * 10
  const id = (prefix, n) => `${prefix}_${String(at * 10 + n).padStart(12, '0')}zzzzzzzzzzzzzz`
  const session = { id: id('ses', 0), title: `Session ${at}`, created, updated: created }
  writer.session(session)
  for (let n = 0; n < 2; n++) {
    const message = { id: id('msg', n), role: n === 0 ? 'user' : 'assistant', created: created + n, updated: created + n, completed: created + n }
    writer.message(session, message)
    writer.part(session, message, {
      id: id('prt', n),
      created,
      updated: created,
      data: { type: 'text', text: `note ${at} ${n}`, time: { start: created, end: created } },
    })
  }
}
writer.close()
say({ sessions })
