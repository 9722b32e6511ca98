/** What happens in one working day of OpenCode: every kind of session that its API can make. */
import { join } from 'node:path'
import type { MockModel } from './model.js'
import type { ApiSession, Json, OpenCode } from './server.js'

export interface Day {
  /** By name; all of them are still there in the evening. */
  readonly sessions: Readonly<Record<Scene, ApiSession>>
  readonly deleted: readonly string[]
  /** The message that the reverted session was taken back to. */
  readonly revertedTo: string
}

export type Scene =
  | 'talk'
  | 'failed'
  | 'parent'
  | 'child'
  | 'todos'
  | 'attachment'
  | 'aborted'
  | 'reverted'
  | 'continued'
  | 'fork'
  | 'compacted'
  | 'archived'
  | 'odd'
  | 'empty'
  | 'elsewhere'

/** A png of one pixel. */
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

export const ODD_TEXT = 'Odd: \u0001\u001b[32mgreen\u001b[0m 𝒳 😀 漢字 שלום e\u0301 \u2028 end.'

export async function playDay(server: OpenCode, model: MockModel, project: string, elsewhere: string): Promise<Day> {
  const tool = (name: string, args: object): { readonly tools: readonly [{ name: string; args: object }] } => ({ tools: [{ name, args }] })
  const file = join(project, 'src', 'index.js')

  const talk = await server.newSession()
  model.script('What is in the project', [
    { reasoning: 'I look at the file first.', text: 'Let me look.', ...tool('read', { filePath: file }) },
    tool('bash', { command: 'echo from the shell', description: 'Says something' }),
    { text: 'It adds two numbers.' },
  ])
  await server.say(talk, 'What is in the project?')
  model.script('Subtract, too', [
    tool('edit', { filePath: file, oldString: 'a + b', newString: 'a - b' }),
    tool('write', { filePath: join(project, 'src', 'new.js'), content: 'export {}\n' }),
    { text: 'Done.' },
  ])
  await server.say(talk, 'Subtract, too')

  const failed = await server.newSession({ title: 'Everything fails' })
  model.script('Try what fails', [
    tool('read', { filePath: join(project, 'not-there') }),
    tool('bash', { command: 'echo bad >&2; exit 3', description: 'Fails' }),
    tool('no_such_tool', { a: 1 }),
    { text: 'All failed.' },
  ])
  await server.say(failed, 'Try what fails')
  model.script('And now the model fails', [{ status: 400 }])
  await server.say(failed, 'And now the model fails')

  const parent = await server.newSession({ title: 'With a subagent' })
  model.script('The part of the subagent', [{ text: 'The subagent has done its part.' }])
  const task = { subagent_type: 'general', description: 'A part', prompt: 'The part of the subagent' }
  model.script('Let a subagent do it', [tool('task', task), { text: 'It was done.' }])
  await server.say(parent, 'Let a subagent do it')
  const [child] = await server.api<ApiSession[]>('GET', `/session/${parent.id}/children`)
  if (child === undefined) throw new Error('the subagent has no session')

  const todos = await server.newSession({ title: 'With todos' })
  const list = [todo('1', 'Read', 'completed', 'high'), todo('2', 'Write', 'in_progress', 'medium')]
  model.script('Plan it', [tool('todowrite', { todos: list }), { text: 'Planned.' }])
  await server.say(todos, 'Plan it')

  const attachment = await server.newSession({ title: 'With a picture' })
  model.script('Look at this', [{ text: 'It is one pixel.' }])
  await server.say(attachment, 'Look at this', [{ type: 'file', mime: 'image/png', filename: 'pixel.png', url: `data:image/png;base64,${PIXEL}` }])

  const aborted = await server.newSession({ title: 'Aborted' })
  model.script('Never end', [{ reasoning: 'Long.', text: 'word '.repeat(100), holdAfter: 4 }])
  await server.begin(aborted, 'Never end')
  await server.untilPart(aborted, ({ type, text }) => type === 'text' && text !== 'Never end')
  await server.api('POST', `/session/${aborted.id}/abort`)
  await server.untilSettled(aborted)

  const reverted = await twoTurns(server, model, 'Taken back')
  const revertedTo = await lastQuestion(server, reverted)
  await server.api('POST', `/session/${reverted.id}/revert`, { messageID: revertedTo })
  const continued = await twoTurns(server, model, 'Taken back and continued')
  await server.api('POST', `/session/${continued.id}/revert`, { messageID: await lastQuestion(server, continued) })
  model.script('Another way', [{ text: 'Another answer.' }])
  await server.say(continued, 'Another way')

  const fork = await server.api<ApiSession>('POST', `/session/${talk.id}/fork`, {})
  model.script('In the fork', [{ text: 'Said in the fork.' }])
  await server.say(fork, 'In the fork')

  const compacted = await twoTurns(server, model, 'Compacted')
  await server.api('POST', `/session/${compacted.id}/summarize`, { providerID: 'mock', modelID: 'large' })
  model.script('After the compaction', [{ text: 'It goes on.' }])
  await server.say(compacted, 'After the compaction')

  const archived = await twoTurns(server, model, 'Old title')
  await server.api('PATCH', `/session/${archived.id}`, { title: 'New title' })
  await server.api('PATCH', `/session/${archived.id}`, { time: { archived: 1_800_000_000_000 } })

  const odd = await server.newSession({ title: 'Ünïcødé 🚀 日本語 "quotes" \\ tab\t' })
  model.script('Say odd things', [
    tool('bash', { command: "printf 'caf\\303\\251 \\377\\376 bad\\n'", description: 'Prints bad bytes' }),
    { text: ODD_TEXT, chunk: 7 },
  ])
  await server.say(odd, 'Say odd things')

  const doomed = await server.newSession({ title: 'Doomed' })
  model.script('The doomed part', [{ text: 'Done in vain.' }])
  model.script('Do it in vain', [tool('task', { ...task, prompt: 'The doomed part' }), tool('todowrite', { todos: list }), { text: 'Done.' }])
  await server.say(doomed, 'Do it in vain')
  const alsoDoomed = await server.api<ApiSession[]>('GET', `/session/${doomed.id}/children`)
  await server.api('DELETE', `/session/${doomed.id}`)

  const empty = await server.newSession({ title: 'Empty' })
  const elsewhereSession = await server.newSession({}, elsewhere)
  model.script('Where are we', [tool('read', { filePath: join(elsewhere, 'README.md') }), { text: 'Elsewhere.' }])
  await server.say(elsewhereSession, 'Where are we')

  const kept = { talk, failed, parent, child, todos, attachment, aborted, reverted, continued, fork, compacted, archived, odd, empty }
  return { sessions: { ...kept, elsewhere: elsewhereSession }, deleted: [doomed, ...alsoDoomed].map(({ id }) => id), revertedTo }
}

function todo(id: string, content: string, status: string, priority: string): Json {
  return { id, content, status, priority }
}

async function twoTurns(server: OpenCode, model: MockModel, title: string): Promise<ApiSession> {
  const session = await server.newSession({ title })
  for (const turn of ['first', 'second']) {
    model.script(`${title}, ${turn}`, [{ text: `Answer to ${title}, ${turn}.` }])
    await server.say(session, `${title}, ${turn}`)
  }
  return session
}

async function lastQuestion(server: OpenCode, session: ApiSession): Promise<string> {
  const last = (await server.messages(session)).filter(({ info }) => info.role === 'user').at(-1)
  if (last === undefined) throw new Error('nothing was asked')
  return last.info.id
}
