/** Codex's logs: which files, what is light in them, and which lines make up which messages. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { codexFormat } from '../../../src/core/agents/codex.js'
import type { MessageReading } from '../../../src/core/records.js'
import { codexAdapter } from '../../../src/storage/jsonl/codex-log.js'
import { LogIndex } from '../../../src/storage/jsonl/log-index.js'
import { GENERATOR_IS_HERE, generated } from '../../support/generated.js'
import { assembleAll, describeAll, feed, linesOf, plainMessages } from '../../support/log-lines.js'
import { SETS_ARE_HERE, SHARED } from '../../support/real-sets.js'
import { started } from '../../support/started.js'
import { tempFolder } from '../../support/temp.js'

const START = Date.parse('2026-02-11T05:00:00.000Z')
let clock = 0
const time = (seconds = clock++): string => new Date(START + seconds * 1000).toISOString()

type Fields = Readonly<Record<string, unknown>>
const line = (type: string, payload: Fields, timestamp = time()): Fields => ({ timestamp, type, payload })
const item = (payload: Fields, timestamp?: string): Fields => line('response_item', payload, timestamp)
const event = (type: string, payload: Fields = {}, timestamp?: string): Fields => line('event_msg', { type, ...payload }, timestamp)
const context = (payload: Fields = {}): Fields => line('turn_context', { cwd: '/work', model: 'gpt-5', ...payload })
const head = (id: string, payload: Fields = {}, timestamp?: string): Fields => line('session_meta', { id, cwd: '/work', ...payload }, timestamp)
const user = (text: string, timestamp?: string): Fields => item({ type: 'message', role: 'user', content: [{ type: 'input_text', text }] }, timestamp)
const said = (text: string): Fields => item({ type: 'message', role: 'assistant', content: [{ type: 'output_text', text }] })
const thought = (text: string): Fields => item({ type: 'reasoning', summary: [{ type: 'summary_text', text }], encrypted_content: null })
const call = (call_id: string, name = 'shell'): Fields => item({ type: 'function_call', name, arguments: `{"of":"${call_id}"}`, call_id })
const output = (call_id: string, text = `out of ${call_id}`): Fields => item({ type: 'function_call_output', call_id, output: text })
const usage = (total: number): Fields =>
  event('token_count', {
    info: { total_token_usage: { total_tokens: total }, last_token_usage: { input_tokens: 100, cached_input_tokens: 60, output_tokens: total } },
  })

/** Every message as its role and its parts, short. */
function shown(log: string): readonly string[] {
  return readings(log).map(({ message, parts }) => `${message.role}: ${parts.map(partText).join(', ')}`)
}

function partText(part: MessageReading['parts'][number]): string {
  if (part.type === 'text' || part.type === 'reasoning') return part.text
  if (part.type !== 'tool') return part.type
  const { state } = part
  return `${part.tool}=${state.status === 'completed' ? state.output : state.status}`
}

function readings(log: string, index = feed(codexAdapter, log)): readonly MessageReading[] {
  return assembleAll(codexFormat, log, index, 'codex').map(({ reading }) => {
    if ('damage' in reading) throw new Error(reading.damage)
    return reading.record
  })
}

describe('steps', () => {
  it('are what the model says until an output, a prompt or a later turn', () => {
    const log = linesOf(
      head('a'),
      context(),
      user('one'),
      thought('hm'),
      said('sure'),
      call('c1'),
      output('c1'),
      said('done'),
      context(),
      said('more'),
    )
    expect(shown(log)).toEqual(['user: one', 'assistant: hm, sure, shell=out of c1', 'assistant: done', 'assistant: more'])
  })

  it('have the outputs of parallel calls, whatever their order', () => {
    const log = linesOf(user('one'), call('c1'), call('c2'), output('c2'), call('c3'), output('c1'), output('c3'), said('done'))
    expect(shown(log)).toEqual(['user: one', 'assistant: shell=out of c1, shell=out of c2', 'assistant: shell=out of c3', 'assistant: done'])
  })

  it('are open until something shows that the model is done', () => {
    const lines = [user('one'), thought('hm'), call('c1'), output('c1'), said('done'), event('task_complete')]
    const open = lines.map((_, at) => feed(codexAdapter, linesOf(...lines.slice(0, at + 1))).last?.open)
    expect(open).toEqual([false, true, true, false, true, false])
  })

  it('keep an output without a call as a message of its own', () => {
    expect(shown(linesOf(user('one'), output('lost'), item({ type: 'function_call_output', output: 'nothing' })))).toEqual([
      'user: one',
      'assistant: function_call=out of lost',
      'assistant: function_call=nothing',
    ])
  })

  it('have the settings of their turn and the usage that was told, once', () => {
    const log = linesOf(
      context(),
      context({ model: 'gpt-6' }),
      user('one'),
      said('a'),
      usage(5),
      usage(5),
      usage(7),
      said('b'),
      output('x'),
      said('c'),
      usage(7),
    )
    const index = feed(codexAdapter, log)
    const [, first, , second] = readings(log, index).map(({ message }) => message)
    expect(first).toMatchObject({
      modelID: 'gpt-6',
      path: { cwd: '/work', root: '/work' },
      tokens: { input: 80, output: 12, cache: { read: 120, write: 0 } },
    })
    expect(second).toMatchObject({ modelID: 'gpt-6', path: { cwd: '/work', root: '/work' } })
    expect(second).not.toHaveProperty('tokens')
    expect([...index.ignored]).toEqual([
      ['settings of turns without a step', 1],
      ['token counts', 2],
    ])
  })

  it('that are aborted say so; a turn without a step says nothing', () => {
    const abort = event('turn_aborted', { reason: 'interrupted' })
    const log = linesOf(event('task_started'), user('one'), said('a'), user('<turn_aborted>'), abort, event('task_started'), user('two'), abort)
    const [, step, , two] = readings(log).map(({ message }) => message)
    expect(step).toMatchObject({ role: 'assistant', error: { name: 'Aborted', data: { reason: 'interrupted' } } })
    expect(two).not.toHaveProperty('error')
  })
})

describe('events', () => {
  const said1 = event('agent_message', { message: 'yes' })
  const asked = event('user_message', { message: 'one', images: ['data:image/gif;base64,AA=='] })

  it('are copies in a log that has items', () => {
    const log = linesOf(
      user('one'),
      event('user_message', { message: 'one' }),
      event('agent_reasoning', { text: 'hm' }),
      thought('hm'),
      said('yes'),
      said1,
    )
    const index = feed(codexAdapter, log)
    expect(shown(log)).toEqual(['user: one', 'assistant: hm, yes'])
    expect([...index.ignored]).toEqual([['copies of messages as events', 3]])
  })

  it('are the messages of a log without items', () => {
    const log = linesOf(head('a'), asked, event('agent_reasoning', { text: 'hm' }), said1, usage(3), event('user_message', { message: 'two' }), said1)
    expect(shown(log)).toEqual(['user: one, file', 'assistant: hm, yes', 'user: two', 'assistant: yes'])
    expect(readings(log)[1]?.message).toMatchObject({ tokens: { output: 3 } })
  })

  it('are one message with the items that say the same after them', () => {
    const log = linesOf(
      event('user_message', { message: 'one' }),
      said1,
      user('one'),
      thought('hm'),
      said('yes'),
      call('c1'),
      output('c1'),
      user('two'),
      said1,
    )
    const index = feed(codexAdapter, log)
    expect(shown(log)).toEqual(['user: one', 'assistant: hm, yes, shell=out of c1', 'user: two'])
    expect(index.messages.map(({ lines }) => lines.length)).toEqual([2, 5, 1])
  })

  it('of other kinds are counted with their reasons', () => {
    const kinds = ['exec_command_end', 'mcp_tool_call_end', 'context_compacted', 'thread_name_updated', 'plan_update', 'task_started']
    const index = feed(codexAdapter, linesOf(...kinds.map((kind) => event(kind)), event('warning')))
    expect(index.count).toBe(0)
    expect([...index.ignored]).toEqual([
      ['events of tools', 2],
      ['copies of compactions as events', 1],
      ['names of the session', 1],
      ['events', 2],
      ['marks of turns', 1],
    ])
  })

  it('of kinds that are not known are messages, raw', () => {
    const log = linesOf(user('one'), said('a'), event('brand_new', { text: 'hi' }), said('b'), line('event_msg', {}))
    const index = feed(codexAdapter, log)
    expect(index.ignored.size).toBe(0)
    expect(readings(log, index).map(({ message }) => message.role)).toEqual(['user', 'assistant', 'unknown', 'unknown'])
    expect(shown(log)[1]).toBe('assistant: a, b')
  })

  const answers = [said('a'), event('agent_message', { message: 'a' })]

  it('that no item repeats are messages where items come first', () => {
    const log = linesOf(
      user('one'),
      event('user_message', { message: 'one' }),
      ...answers,
      event('task_complete'),
      event('agent_message', { message: 'only so' }),
      event('user_message', { message: 'typed only so' }),
      said('b'),
    )
    const index = feed(codexAdapter, log)
    expect(shown(log)).toEqual(['user: one', 'assistant: a', 'assistant: only so', 'user: typed only so', 'assistant: b'])
    expect(index.ignored.get('copies of messages as events')).toBe(2)
  })

  it('wait for their items where these come later, up to the end of the turn', () => {
    const lines = [user('one'), event('agent_reasoning', { text: 'hm' }), event('agent_message', { message: 'lost' }), usage(1), thought('hm')]
    expect(shown(linesOf(...lines))).toEqual(['user: one', 'assistant: hm'])
    for (const end of [event('task_complete'), event('turn_aborted'), user('two'), line('compacted', {}), event('error', { message: 'no' })]) {
      expect(shown(linesOf(...lines, end)).slice(0, 2)).toEqual(['user: one', 'assistant: hm, lost'])
    }
    const index = feed(codexAdapter, linesOf(...lines, said('lost')))
    expect(index.messages.map(({ lines: own }) => own.length)).toEqual([1, 2])
    expect(index.ignored.get('copies of messages as events')).toBe(2)
  })

  it('are copies of all an item says, and of what is shown of it', () => {
    const told = (text: string): Fields => event('agent_message', { message: text })
    const both = item({ type: 'message', role: 'assistant', content: ['one ', 'two'].map((text) => ({ type: 'output_text', text })) })
    const thoughts = item({ type: 'reasoning', summary: ['x', 'y'].map((text) => ({ type: 'summary_text', text })), content: null })
    const shownPart = [said('Done.\n<oai-mem-citation>\nfrom\n</oai-mem-citation>'), said('So:\n<proposed_plan>\n1. go\n</proposed_plan>\n')]
    const log = linesOf(
      ...[user('one'), both, told('one two'), told('two'), thoughts],
      ...['x', 'y'].map((text) => event('agent_reasoning', { text })),
      ...[...shownPart, told('Done.'), told('So:'), event('item_completed', { item: { type: 'Plan', id: 'p', text: '1. go' } })],
      ...[told(''), event('agent_message'), event('item_completed', { item: { type: 'CommandExecution', command: 'ls' } })],
    )
    const index = feed(codexAdapter, log)
    expect(index.count).toBe(2)
    expect([...index.ignored]).toEqual([
      ['copies of messages as events', 9],
      ['events of tools', 1],
    ])
  })

  it('are copies of all an item says without the blanks around that', () => {
    const typed = item({ type: 'message', role: 'user', content: [' c', 'd \n'].map((text) => ({ type: 'input_text', text })) })
    const told = (message: string): Fields => event('user_message', { message })
    expect(shown(linesOf(user('one'), told('one'), typed, told(' cd \n')))).toEqual(['user: one', 'user:  c, d \n'])
  })

  it('are copies of an item of very many texts, before it and behind it', () => {
    const sections = (count: number): readonly string[] => Array.from({ length: count }, (_, n) => `section ${n}`)
    const told = (texts: readonly string[]): readonly Fields[] => texts.map((text) => event('agent_reasoning', { text }))
    const thoughts = (texts: readonly string[]): Fields =>
      item({ type: 'reasoning', summary: texts.map((text) => ({ type: 'summary_text', text })), encrypted_content: null })
    for (const count of [12, 20, 30, 60]) {
      const step = sections(count).join('\n\n')
      expect(shown(linesOf(user('one'), ...told(sections(count)), thoughts(sections(count))))).toEqual(['user: one', `assistant: ${step}`])
      const after = [thought('a'), ...told(['a']), thoughts(sections(count)), ...told(sections(count))]
      expect(shown(linesOf(user('one'), ...after))).toEqual(['user: one', `assistant: a, ${step}`])
    }
  })

  it('of a plan, of what an agent said and of a review are told where nothing else tells them', () => {
    const plan = event('item_completed', { item: { type: 'Plan', id: 'p', text: 'The plan' } })
    const newer = event('item_completed', { item: { type: 'AgentMessage', id: 'm', content: [{ type: 'Text', text: 'newer' }] } })
    const found = { overall_explanation: 'Fine.', findings: [{ title: 'A bug', body: 'Here.' }] }
    const review = event('exited_review_mode', { review_output: found })
    expect(shown(linesOf(user('one'), ...answers, plan, newer))).toEqual(['user: one', 'assistant: a, The plan, newer'])
    expect(shown(linesOf(user('one'), ...answers, said('newer'), newer))).toEqual(['user: one', 'assistant: a, newer'])
    expect(shown(linesOf(user('one'), review, event('task_complete')))).toEqual(['user: one', 'assistant: Fine., A bug\n\nHere.'])
    const result = user('<user_action>\n<results>Fine.')
    expect(shown(linesOf(user('one'), result, review, said('r'), event('task_complete')))).toHaveLength(3)
    expect(shown(linesOf(user('one'), event('exited_review_mode', { review_output: null })))).toEqual(['user: one'])
  })

  it('of an error are the error of the step that it ended, or one of its own', () => {
    const failed = event('error', { message: 'no network', codex_error_info: 'other' })
    const error = { name: 'APIError', data: { message: 'no network', codex_error_info: 'other' } }
    const [, step, next] = readings(linesOf(user('one'), said('a'), failed, said('b'))).map(({ message }) => message)
    expect(step).toMatchObject({ role: 'assistant', error })
    expect(next).not.toHaveProperty('error')
    expect(readings(linesOf(user('one'), said('a'), user('two'), failed)).map(({ message }) => message)[3]).toMatchObject({
      role: 'assistant',
      error,
    })
  })
})

describe('the tree', () => {
  const parents = (log: string): readonly (number | undefined)[] => {
    const { messages } = feed(codexAdapter, log)
    return messages.map(({ parent }) => messages.find(({ id }) => id === parent)?.order)
  }
  const back = (num_turns: unknown): Fields => event('thread_rolled_back', { num_turns })

  it('is a chain', () => {
    expect(parents(linesOf(user('one'), said('a'), user('two'), said('b')))).toEqual([undefined, 0, 1, 2])
  })

  it('goes on before the turns that were taken back', () => {
    const log = [user('<environment_context>'), user('one'), said('a'), user('two'), said('b'), user('three'), said('c')]
    expect(parents(linesOf(...log, back(1), user('new')))).toEqual([undefined, 0, 1, 2, 3, 4, 5, 4])
    expect(parents(linesOf(...log, back(2), user('new')))).toEqual([undefined, 0, 1, 2, 3, 4, 5, 2])
    expect(parents(linesOf(...log, back(1), back(1), user('new'), said('d'), back(1), user('other')))).toEqual([undefined, 0, 1, 2, 3, 4, 5, 2, 7, 2])
    expect(parents(linesOf(...log, back(9), user('new')))).toEqual([undefined, 0, 1, 2, 3, 4, 5, 0])
    expect(parents(linesOf(user('one'), back(1), user('new')))).toEqual([undefined, undefined])
  })

  it('ends before the turns that were taken back last', () => {
    const leafOf = (...log: readonly Fields[]): number | null | undefined => {
      const { messages, last } = feed(codexAdapter, linesOf(...log))
      return last?.leaf === undefined || last.leaf === null ? last?.leaf : messages.find(({ id }) => id === last.leaf)?.order
    }
    const log = [user('one'), said('a'), user('two'), said('b'), user('three'), said('c')]
    expect(leafOf(...log)).toBeUndefined()
    expect(leafOf(...log, back(1))).toBe(3)
    expect(leafOf(...log, back(1), event('task_started'), context())).toBe(3)
    expect(leafOf(...log, back(1), back(1))).toBe(1)
    expect(leafOf(...log, back(3))).toBeNull()
    expect(leafOf(...log, back(1), user('new'))).toBeUndefined()
    expect(leafOf(user('<environment_context>'), user('one'), said('a'), back(1))).toBe(0)
  })

  it('takes no odd count for a rollback', () => {
    for (const odd of ['1', null, -1, 0.5, {}]) expect(parents(linesOf(user('one'), said('a'), back(odd), user('two')))).toEqual([undefined, 0, 1])
  })

  it('is not cut by a damaged line', () => {
    const log = linesOf(user('one'), '{"timestamp":"2026', said('a'))
    expect(parents(log)).toEqual([undefined, undefined, 0])
    expect(assembleAll(codexFormat, log, feed(codexAdapter, log), 'codex')[1]?.reading).toHaveProperty('damage')
  })
})

describe('forks', () => {
  /** A UUIDv7 of so many seconds after the start. */
  const v7 = (seconds: number): string => {
    const hex = (START + seconds * 1000).toString(16).padStart(12, '0')
    return `${hex.slice(0, 8)}-${hex.slice(8)}-7abc-8def-0123456789ab`
  }
  const traits = (log: string): readonly (string | undefined)[] => feed(codexAdapter, log).messages.map(({ trait }) => trait)
  const [parent, fork] = [v7(100), v7(5000)]
  const now = time(5000)
  const copied = [
    head(fork, { forked_from_id: parent }, now),
    head(parent, {}, now),
    event('task_started', { turn_id: v7(101) }, now),
    user('old', now),
    item({ type: 'reasoning', summary: [] }, now),
  ]

  it('tell what they copied from their parent by the age of its turns', () => {
    const log = linesOf(...copied, event('task_started', { turn_id: v7(5001) }, now), user('new', now), said('yes'))
    expect(traits(log)).toEqual(['inherited', 'inherited', undefined, undefined])
  })

  it('are their own again after their own head', () => {
    expect(traits(linesOf(...copied, head(fork, {}, now), user('new', now)))).toEqual(['inherited', 'inherited', undefined])
  })

  it('take nothing for copied that is not sure', () => {
    const odd = event('task_started', { turn_id: 'turn-7' }, now)
    expect(traits(linesOf(head(fork, { forked_from_id: parent }, now), user('who knows', now)))).toEqual([undefined])
    expect(traits(linesOf(...copied, odd, user('who knows', now)))).toEqual(['inherited', 'inherited', undefined])
    expect(traits(linesOf(...copied, user('later', time(5060))))).toEqual(['inherited', 'inherited', undefined])
    expect(traits(linesOf(head(fork, {}, now), user('mine', now), head(parent, {}, now), user('mine too', now)))).toEqual([undefined, undefined])
  })

  it('are told of in what is light, as subagents are', () => {
    const source = { subagent: { thread_spawn: { parent_thread_id: 'boss', depth: 1 } } }
    const meta = describeAll(codexAdapter, linesOf(head(fork, { forked_from_id: parent, source }, now), ...copied.slice(1)))
    expect(meta).toMatchObject({ id: fork, fork: parent, parent: 'boss' })
  })
})

describe('other lines', () => {
  it('of kinds that are not known stand for themselves, and end no step', () => {
    const log = linesOf(
      user('one'),
      said('a'),
      line('novelty', { x: 1 }),
      said('b'),
      item({ type: 'novelty' }),
      { timestamp: time(), novel: true },
      '[]',
      'null',
    )
    const index = feed(codexAdapter, log)
    const read = assembleAll(codexFormat, log, index, 'codex').map(({ reading }) => ('damage' in reading ? 'damaged' : reading.record.message.role))
    expect(read).toEqual(['user', 'assistant', 'unknown', 'unknown', 'unknown', 'damaged', 'damaged'])
    expect(index.messages[1]?.lines).toHaveLength(2)
  })

  it('are left out with a reason where they say nothing of the conversation', () => {
    const index = feed(
      codexAdapter,
      linesOf(
        head('a'),
        ...[
          'world_state',
          'inter_agent_communication_metadata',
          'token_usage_record',
          'security_risk_score',
          'retained_context',
          'rollout_reference',
        ].map((type) => line(type, {})),
        item({ type: 'ghost_snapshot' }),
      ),
    )
    expect(index.count).toBe(0)
    expect([...index.ignored.keys()]).toEqual([
      'the head of the log',
      'states of the surroundings',
      'notes on letters between agents',
      'token counts',
      'scores of risk',
      'what a compaction kept',
      'references to other logs',
      'snapshots of files',
    ])
  })

  it('are compactions, which end a step', () => {
    const log = linesOf(
      user('one'),
      said('a'),
      line('compacted', { message: 'so far' }),
      event('context_compacted'),
      item({ type: 'compaction' }),
      said('b'),
    )
    expect(shown(log)).toEqual(['user: one', 'assistant: a', 'assistant: compaction, so far', 'assistant: compaction', 'assistant: b'])
    expect(readings(log)[2]?.message).toMatchObject({ summary: true, type: 'compaction' })
  })

  it('may be bare items, as the first versions wrote them', () => {
    const log = linesOf(
      { id: 'old-1', timestamp: time(), instructions: null, git: {} },
      { record_type: 'state' },
      { type: 'message', id: null, role: 'user', content: [{ type: 'input_text', text: 'one' }] },
      { type: 'function_call', id: 'fc', name: 'shell', arguments: '{"command":["ls"]}', call_id: 'c1' },
      { type: 'function_call_output', call_id: 'c1', output: '{"output":"a.txt","metadata":{"exit_code":0}}' },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'done' }] },
    )
    const index = feed(codexAdapter, log)
    expect(shown(log)).toEqual(['user: one', 'assistant: shell=a.txt', 'assistant: done'])
    expect([...index.ignored.keys()]).toEqual(['the head of the log', 'states of the agent'])
    expect(describeAll(codexAdapter, log)).toMatchObject({ id: 'old-1', prompt: 'one', entries: 6 })
    expect(index.messages[0]?.created).toBe(describeAll(codexAdapter, log).created)
  })

  it('never throw, whatever their fields hold', () => {
    const anything = fc.json()
    const type = fc.constantFrom('session_meta', 'response_item', 'event_msg', 'turn_context', 'compacted', 'x')
    const kind = fc.constantFrom('message', 'function_call', 'function_call_output', 'token_count', 'thread_rolled_back', 'user_message', 'reasoning')
    const value = fc.jsonValue()
    const payload = fc.oneof(
      value,
      fc.record({ type: kind, role: value, call_id: value, content: value, output: value, info: value, num_turns: value, message: value, id: value }),
    )
    const lines = fc.array(
      fc.oneof(
        anything,
        fc.record({ timestamp: value, type, payload }).map((fields) => JSON.stringify(fields)),
      ),
    )
    fc.assert(
      fc.property(lines, (all) => {
        const log = linesOf(...all)
        const index = feed(codexAdapter, log)
        expect(assembleAll(codexFormat, log, index, 'codex')).toHaveLength(index.count)
        describeAll(codexAdapter, log)
      }),
      { numRuns: 300 },
    )
  })
})

describe('a cursor', () => {
  const calls = ['c1', 'c2', 'c3']
  const answered = fc.constantFrom(...calls).map((id) => linesOf(call(id), output(id)).trim())
  const texts = fc.constantFrom('one', 'two', '<environment_context>')
  const any = fc.oneof(
    texts.map(user),
    texts.map(said),
    texts.map(thought),
    answered,
    fc.constantFrom(...calls).map((id) => call(id)),
    fc.constantFrom(...calls).map((id) => call(id)),
    fc.constantFrom(...calls).map((id) => output(id)),
    texts.map((message) => event('user_message', { message })),
    texts.map((message) => event('agent_message', { message })),
    texts.map((text) => event('agent_reasoning', { text })),
    fc.constantFrom('error', 'exited_review_mode').map((kind) => event(kind, { review_output: {} })),
    fc.integer({ min: 1, max: 3 }).map(usage),
    fc.constantFrom('task_started', 'task_complete', 'turn_aborted', 'novelty').map((kind) => event(kind)),
    fc.integer({ min: 1, max: 3 }).map((num_turns) => event('thread_rolled_back', { num_turns })),
    fc.constant(context()),
    fc.constant('{"torn'),
  )

  it('goes on as if the log were read whole, or says that it cannot', () => {
    let lost = 0
    fc.assert(
      fc.property(fc.array(any, { maxLength: 60 }), fc.double({ min: 0, max: 1, noNaN: true }), (all, share) => {
        const log = linesOf(...all)
        const cut = linesOf(...all.slice(0, Math.floor(all.length * share))).length
        const whole = feed(codexAdapter, log, new LogIndex(), 0, cut)
        whole.takeTouched()
        const resumed = new LogIndex(JSON.parse(JSON.stringify(whole.memory())))
        feed(codexAdapter, log, whole, cut)
        feed(codexAdapter, log, resumed, cut)
        if (resumed.lost !== undefined) {
          lost++
          return
        }
        expect(plainMessages(resumed.takeTouched())).toEqual(plainMessages(whole.takeTouched()))
        expect(JSON.parse(JSON.stringify(resumed.memory()))).toEqual(JSON.parse(JSON.stringify(whole.memory())))
      }),
      { numRuns: 500 },
    )
    expect(lost).toBeLessThan(450)
  })

  it('is of a log whose every line is in a message, or left out with a reason, damaged ones too', () => {
    const damage = fc.option(fc.double({ min: 0.05, max: 0.95, noNaN: true }), { nil: undefined, freq: 5 })
    fc.assert(
      fc.property(fc.array(fc.tuple(any, damage), { maxLength: 40 }), (all) => {
        const whole = all.map(([given, cut]) => [typeof given === 'string' ? given : JSON.stringify(given), cut] as const)
        const texts = whole.map(([text, cut]) => (cut === undefined ? text : text.slice(0, Math.ceil(text.length * cut))))
        const log = linesOf(...texts)
        const index = feed(codexAdapter, log)
        const used = new Set(index.messages.flatMap(({ lines }) => lines.map(({ offset }) => offset)))
        const waiting = (index.notes.context === undefined ? 0 : 1) + ((index.notes.held as readonly unknown[] | undefined)?.length ?? 0)
        const left = [...index.ignored.values()].reduce((sum, count) => sum + count, 0) + waiting
        expect(used.size + left).toBe(log.split('\n').filter((text) => text.trim() !== '').length)
        expect(assembleAll(codexFormat, log, index, 'codex')).toHaveLength(index.count)
      }),
      { numRuns: 300 },
    )
  })

  it('is lost where a turn before its memory is taken back', () => {
    const turns = Array.from({ length: 80 }, (_, turn) => [user(`prompt ${turn}`), said('yes')]).flat()
    const log = linesOf(...turns, event('thread_rolled_back', { num_turns: 70 }), user('new'))
    const cut = linesOf(...turns).length
    const memory = feed(codexAdapter, log, new LogIndex(), 0, cut).memory()
    expect(feed(codexAdapter, log, new LogIndex(memory), cut).lost).toBe('a turn before the cursor was taken back')
    const whole = feed(codexAdapter, log)
    expect(whole.last?.parent).toBe(whole.messages[19]?.id)
  })
})

describe('what is light', () => {
  it('is in the head, the first settings, the first prompt and the newest name', () => {
    const log = linesOf(
      head('id-1', { timestamp: time(7), cli_version: '0.99.0', model_provider: 'azure' }),
      context({ cwd: '/elsewhere' }),
      user('<environment_context>x'),
      item({ type: 'message', role: 'developer', content: [{ type: 'input_text', text: 'rules' }] }),
      user('  please\nhelp '),
      event('thread_name_updated', { thread_name: 'First name' }),
      context({ model: 'gpt-6' }),
      event('thread_name_updated', { thread_name: 'Second name' }),
    )
    expect(describeAll(codexAdapter, log)).toMatchObject({
      id: 'id-1',
      title: 'Second name',
      prompt: 'please help',
      directory: '/work',
      version: '0.99.0',
      model: { id: 'gpt-5', providerID: 'azure' },
      created: START + 7000,
      entries: 8,
    })
  })

  it('is found without a head, and in lines whose fields stand in another order', () => {
    const log = linesOf('{"timestamp":"2026-02', { type: 'turn_context', payload: { model: 'm', cwd: '/w' } }, head('a copy'), {
      type: 'event_msg',
      ordinal: 1,
      payload: { message: 'hi', type: 'user_message' },
    })
    const meta = describeAll(codexAdapter, log)
    expect(meta).toMatchObject({ directory: '/w', model: { id: 'm', providerID: 'openai' }, prompt: 'hi' })
    expect(meta).not.toHaveProperty('id')
  })

  it('has the time of a line', () => {
    const bytes = Buffer.from(JSON.stringify(said('a')))
    const odd = Buffer.from(JSON.stringify({ ordinal: 1, timestamp: '2026-02-11T05:00:00Z' }))
    expect(codexAdapter.timeOf(bytes, 0, bytes.length)).toBe(Date.parse(JSON.parse(bytes.toString()).timestamp))
    expect(codexAdapter.timeOf(odd, 0, odd.length)).toBe(START)
    expect(codexAdapter.timeOf(Buffer.from('{}'), 0, 2)).toBeUndefined()
  })
})

describe('listing', () => {
  const folder = tempFolder()
  afterAll(() => folder[Symbol.dispose]())
  const [one, two, three] = ['11111111', '22222222', '33333333'].map((start) => `${start}-0000-7000-8000-000000000000`)
  const put = (...path: readonly string[]): void => {
    const file = join(folder.path, ...path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, '')
  }
  put('home', 'sessions', '2026', '02', '11', `rollout-2026-02-11T05-00-00-${one}.jsonl`)
  put('home', 'sessions', '2026', '02', '11', `rollout-2026-02-11T05-00-00-${one}.jsonl.zst`)
  put('home', 'sessions', '2026', '02', '12', `rollout-2026-02-12T05-00-00-${two}.jsonl.zst`)
  put('home', 'sessions', 'project-alpha', 'session-alpha.jsonl')
  put('home', 'sessions', 'notes.txt')
  put('home', 'archived_sessions', `rollout-2026-01-01T05-00-00-${one}.jsonl`)
  put('home', 'archived_sessions', `rollout-2026-01-01T05-00-00-${three}.jsonl`)
  for (const name of ['session_index.jsonl', 'history.jsonl', 'state_5.sqlite', 'auth.json']) put('home', name)
  const short = ({ sessions }: ReturnType<typeof codexAdapter.list>): unknown =>
    sessions.map(({ id, archived, files }) => [id, archived ?? false, files.map(({ packed }) => packed)])

  it('are read from the compressed copy where that alone is asked for', () => {
    using folder = tempFolder()
    const plain = join(folder.path, 'rollout-2026-01-02T03-04-05-019c4b43-1451-7af3-be4c-5576369bf1ba.jsonl')
    for (const path of [plain, `${plain}.zst`]) writeFileSync(path, '')
    const filesOf = (only?: string) => codexAdapter.list(folder.path, only).sessions.flatMap(({ files }) => files.map(({ path }) => path))
    expect(filesOf()).toEqual([plain])
    expect(filesOf(`${plain}.zst`)).toEqual([`${plain}.zst`])
  })

  it('are read from the compressed copy where the plain one is empty, or was not written to its end', () => {
    using folder = tempFolder()
    const plain = join(folder.path, 'rollout-2026-01-02T03-04-05-019c4b43-1451-7af3-be4c-5576369bf1ba.jsonl')
    writeFileSync(`${plain}.zst`, 'z'.repeat(400))
    const log = linesOf(head('a'), user('one'))
    const read = (): readonly unknown[] => {
      const { sessions, leftOut } = codexAdapter.list(folder.path)
      return [...sessions.flatMap(({ files }) => files.map(({ packed }) => packed)), ...leftOut.map(({ reason }) => reason)]
    }
    for (const cut of ['', linesOf(head('a')), log.slice(0, -1), linesOf(head('a', { base: 'x'.repeat(600) }))]) {
      writeFileSync(plain, cut)
      expect(read()).toEqual([true, `an empty or unfinished copy of ${basename(plain)}.zst`])
    }
    writeFileSync(`${plain}.zst`, 'z'.repeat(100))
    writeFileSync(plain, log)
    expect(read()).toEqual([false, `the compressed copy of ${basename(plain)}`])
    writeFileSync(`${plain}.zst`, 'z'.repeat(log.length + 100))
    expect(read()).toEqual([true, `an empty or unfinished copy of ${basename(plain)}.zst`])
    writeFileSync(`${plain}.zst`, '')
    expect(read()).toEqual([false, `the compressed copy of ${basename(plain)}`])
  })

  it('finds logs of a home, plain before compressed, current before archived', () => {
    const listing = codexAdapter.list(join(folder.path, 'home'))
    expect(short(listing)).toEqual([
      [one, false, [false]],
      [two, false, [true]],
      ['session-alpha', false, [false]],
      [three, true, [false]],
    ])
    expect(listing.issues).toEqual([])
    const left = listing.leftOut.map(({ path, reason }) => [path.slice(folder.path.length + 6), reason]).sort()
    expect(left).toEqual([
      [`archived_sessions/rollout-2026-01-01T05-00-00-${one}.jsonl`, 'an archived log of a session that is current again'],
      ['history.jsonl', "a history of prompts, the agent's own"],
      ['session_index.jsonl', "an index of the agent's own"],
      [`sessions/2026/02/11/rollout-2026-02-11T05-00-00-${one}.jsonl.zst`, `the compressed copy of rollout-2026-02-11T05-00-00-${one}.jsonl`],
      ['sessions/notes.txt', 'no log of a session'],
      ['state_5.sqlite', "an index of the agent's own"],
    ])
  })

  it('takes a folder of sessions, and a folder of logs', () => {
    expect(codexAdapter.list(join(folder.path, 'home', 'sessions')).sessions).toHaveLength(3)
    expect(short(codexAdapter.list(join(folder.path, 'home', 'archived_sessions')))).toEqual([
      [one, true, [false]],
      [three, true, [false]],
    ])
    expect(codexAdapter.list(join(folder.path, 'home', 'sessions', '2026', '02', '12')).sessions).toHaveLength(1)
  })

  it('throws where the root cannot be listed', () => {
    expect(() => codexAdapter.list(join(folder.path, 'nowhere'))).toThrow(expect.objectContaining({ code: 'STORE_UNREADABLE' }))
  })
})

const samples = SETS_ARE_HERE ? describe : describe.skip

samples('logs from public repositories (../shared/data/samples.tar.gz)', () => {
  it('are read whole', () => {
    using folder = tempFolder()
    started(() => execFileSync('tar', ['-xzf', join(SHARED, 'data', 'samples.tar.gz'), '-C', folder.path]))
    const facts = JSON.parse(readFileSync(join(folder.path, 'FACTS.json'), 'utf8')).jsonl
    const read = Object.keys(facts).filter((path) => path.includes('codex'))
    const found = read.map((path) => {
      const log = readFileSync(join(folder.path, path), 'utf8')
      const index = feed(codexAdapter, log)
      expect([path, describeAll(codexAdapter, log).entries]).toEqual([path, facts[path].nonempty_lines])
      return [basename(path), index.messages.map(({ lines }) => lines.length), shown(log).map((text) => text.slice(0, 20))]
    })
    expect(found.sort()).toEqual([
      ['codex-session-simple.jsonl', [1, 3], ['user: Refactor src/m', 'assistant: apply_pat']],
      ['codex-session-updated.jsonl', [1, 4], ['user: Refactor src/m', 'assistant: apply_pat']],
      ['session-alpha.jsonl', [], []],
    ])
  })
})

const corpus = GENERATOR_IS_HERE ? describe : describe.skip

corpus('a generated corpus (../shared/tools/gen-corpus.mjs)', () => {
  it('is read whole: every text, every call with its output', () => {
    using made = generated('--layout', 'codex', '--sessions', '4', '--messages', '6', '--parts', '5')
    const listing = codexAdapter.list(join(made.data, '..', '..', '..', '.codex'))
    expect(listing.sessions).toHaveLength(4)
    for (const { id, files } of listing.sessions) {
      const log = readFileSync(files[0]?.path ?? '', 'utf8')
      const lines = log
        .trim()
        .split('\n')
        .map((text) => JSON.parse(text))
      const index = feed(codexAdapter, log)
      const parts = readings(log, index).flatMap((reading) => reading.parts)
      const items = lines.filter(({ type, payload }) => type === 'response_item' && payload.type !== 'function_call_output')
      expect(parts).toHaveLength(items.length)
      expect(parts.filter(({ type }) => type === 'tool').every((part) => part.type === 'tool' && part.state.status === 'completed')).toBe(true)
      // The settings of a turn are a line of each of its steps.
      const used = new Set(index.messages.flatMap(({ lines: own }) => own.map(({ offset }) => offset))).size
      expect(used + [...index.ignored.values()].reduce((sum, count) => sum + count, 0)).toBe(lines.length)
      expect(describeAll(codexAdapter, log)).toMatchObject({ id, version: '0.80.0', model: { id: 'gpt-5.1-codex', providerID: 'openai' } })
    }
  })
})

describe('what Codex itself writes', () => {
  const parts = (...texts: readonly string[]): Fields =>
    item({ type: 'message', role: 'user', content: texts.map((text) => ({ type: 'input_text', text })) })

  it('is no prompt: marks of images, commands of the user, what the editor adds', () => {
    expect(describeAll(codexAdapter, linesOf(parts('<image name=[Image #1]>', '</image>', 'what is this?'))).prompt).toBe('what is this?')
    expect(describeAll(codexAdapter, linesOf(user('<user_shell_command>\nls'), user('fix it'))).prompt).toBe('fix it')
    const edited = '# Context from my IDE setup:\n\n## Open tabs:\n- a.ts\n\n## My request for Codex:\nfix it\n'
    expect(describeAll(codexAdapter, linesOf(user(edited))).prompt).toBe('fix it')
    expect(describeAll(codexAdapter, linesOf(event('user_message', { message: edited }))).prompt).toBe('fix it')
    const long = edited.replace('- a.ts', '- a.ts\n'.repeat(500))
    expect(describeAll(codexAdapter, linesOf(user(long))).prompt).toBe('fix it')
  })

  it('begins no turn, and what is typed beside an image does', () => {
    const log = [user('one'), said('a'), parts('<image name=[Image #1]>', '</image>', 'two'), said('b'), user('<user_shell_command>\nls')]
    const index = feed(codexAdapter, linesOf(...log, event('thread_rolled_back', { num_turns: 1 }), user('three')))
    expect(index.last?.parent).toBe(index.messages[1]?.id)
  })

  it('may be an event of the same text first', () => {
    const asked = event('user_message', { message: 'two', local_images: ['/a.png'] })
    expect(feed(codexAdapter, linesOf(asked, parts('<image name=[Image #1]>', '</image>', 'two'))).count).toBe(1)
  })
})

describe('letters between agents', () => {
  const letter = { author: '/root', recipient: '/root/worker', content: 'Do it.', trigger_turn: true }

  it('are messages that nobody typed, and the prompt of an agent that has no other', () => {
    const log = linesOf(
      head('a'),
      line('inter_agent_communication', letter),
      said('Done'),
      item({ type: 'agent_message', author: '/root', recipient: '/root/worker', content: [{ type: 'input_text', text: 'More.' }] }),
      line('inter_agent_communication_metadata', { trigger_turn: true }),
      said('Done too'),
    )
    expect(shown(log)).toEqual(['user: Do it.', 'assistant: Done', 'user: More.', 'assistant: Done too'])
    expect(Object.fromEntries(feed(codexAdapter, log).ignored)).toEqual({ 'the head of the log': 1, 'notes on letters between agents': 1 })
    expect(describeAll(codexAdapter, log).prompt).toBe('Do it.')
    expect(describeAll(codexAdapter, linesOf(user('Please'), line('inter_agent_communication', letter))).prompt).toBe('Please')
  })

  it('are turns that may be taken back', () => {
    const log = linesOf(
      user('one'),
      said('a'),
      line('inter_agent_communication', letter),
      said('b'),
      event('thread_rolled_back', { num_turns: 1 }),
      user('x'),
    )
    const index = feed(codexAdapter, log)
    expect(index.last?.parent).toBe(index.messages[1]?.id)
  })
})

describe('a log that goes on after a rollback far back', () => {
  it('has the parents that the whole log has, or gives up', () => {
    const turns = Array.from({ length: 40 }, (_, turn) => [user(`prompt ${turn}`), said('yes')]).flat()
    const first = [...turns, event('thread_rolled_back', { num_turns: 35 })]
    const log = linesOf(...first, user('new'), event('thread_rolled_back', { num_turns: 1 }), user('newer'))
    const cut = linesOf(...first).length
    const resumed = feed(codexAdapter, log, new LogIndex(JSON.parse(JSON.stringify(feed(codexAdapter, log, new LogIndex(), 0, cut).memory()))), cut)
    const parent = feed(codexAdapter, log).last?.parent
    expect(resumed.lost === undefined ? resumed.last?.parent : parent).toBe(parent)
  })
})

describe('the id of a session', () => {
  it('is that of its file where the name has one', () => {
    const [own, other] = ['11111111-0000-7000-8000-000000000000', '22222222-0000-7000-8000-000000000000'] as const
    expect(describeAll(codexAdapter, linesOf(head(other)), `/s/rollout-2026-02-11T05-00-00-${own}.jsonl`).id).toBe(own)
    expect(describeAll(codexAdapter, linesOf(head(other)), `/s/rollout-2026-02-11T05-00-00-${own}.jsonl.zst`).id).toBe(own)
    expect(describeAll(codexAdapter, linesOf(head(other)), '/s/copy.jsonl').id).toBe(other)
  })
})
