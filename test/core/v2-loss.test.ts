/** Whatever a message of OpenCode 2 holds, in whatever shape, is somewhere in its record. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { FORMATS } from '../../src/core/formats.js'
import { parseMessageId } from '../../src/core/ids.js'
import { messageKey } from '../../src/core/keys.js'
import { keyOf } from '../support/trees.js'

const KEY = messageKey(keyOf('ses_1'), parseMessageId('msg_1'))

const leaf = fc.constant('leaf')
const value = fc.oneof({ weight: 4, arbitrary: leaf }, fc.constant({ field: 'leaf' }), fc.constant(['leaf']))
/** Some of the fields, each in its usual shape more often than not. */
const fields = (shapes: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<object> =>
  fc.record(Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, fc.oneof({ weight: 3, arbitrary: shape }, value)])), {
    requiredKeys: [],
  })
const plain = (...names: readonly string[]): Readonly<Record<string, fc.Arbitrary<unknown>>> => Object.fromEntries(names.map((name) => [name, value]))

const mention = fields({ text: leaf, start: leaf })
const source = fields({ type: leaf, uri: leaf, text: leaf })
const file = fields({ ...plain('data', 'uri', 'mime', 'name', 'description'), source, mention })
const content = fc.array(
  fc.oneof(
    fields({ type: fc.constant('text'), text: leaf }),
    file.map((item) => ({ type: 'file', ...item })),
    value,
  ),
  { maxLength: 3 },
)
const state = fields({
  ...plain('input', 'metadata', 'structured', 'result', 'outputPaths'),
  status: fc.constantFrom('streaming', 'pending', 'running', 'completed', 'error', 'later'),
  content,
  attachments: fc.array(file, { maxLength: 2 }),
  error: fields({ type: leaf, message: leaf, more: leaf }),
})
const item = fc.oneof(
  fields({ ...plain('id', 'text', 'native', 'state', 'providerState', 'providerMetadata', 'metadata'), type: fc.constantFrom('text', 'reasoning') }),
  fields({ ...plain('id', 'name', 'executed', 'native', 'providerState', 'providerResultState', 'metadata'), type: fc.constant('tool'), state }),
  fields({ type: fc.constant('tool'), name: leaf, state, provider: fields(plain('executed', 'metadata', 'resultMetadata', 'more')) }),
  file.map((given) => ({ type: 'file', ...given })),
  value,
)
const model = fields(plain('id', 'providerID', 'variant'))
const shapes = fields({
  ...plain(
    'text',
    'agent',
    'metadata',
    'snapshot',
    'finish',
    'rawFinish',
    'cost',
    'tokens',
    'retry',
    'native',
    'providerState',
    'skills',
    'skill',
    'name',
  ),
  ...plain(
    'shellID',
    'callID',
    'command',
    'exit',
    'summary',
    'recent',
    'reason',
    'providerContext',
    'previous',
    'location',
    'outcome',
    'description',
  ),
  model,
  error: fields({ type: leaf, message: leaf, more: leaf }),
  files: fc.array(file, { maxLength: 2 }),
  agents: fc.array(fields({ name: leaf, mention, source }), { maxLength: 2 }),
  content: fc.array(item, { maxLength: 3 }),
  output: fields(plain('output', 'cursor', 'size', 'truncated')),
  status: fc.constantFrom('running', 'completed', 'failed'),
})
const KINDS = ['user', 'synthetic', 'system', 'skill', 'assistant', 'shell', 'compaction', 'idle', 'later']

it.each(KINDS)('a message of the kind %s loses nothing (property)', (type) => {
  fc.assert(
    fc.property(shapes, (document) => {
      let leaves = 0
      const text = JSON.stringify({ time: { created: 1 }, ...document }).replaceAll('"leaf"', () => `"leaf ${leaves++}."`)
      const reading = FORMATS.v2.message(JSON.parse(text), KEY, type)
      const kept = JSON.stringify('record' in reading ? reading.record : reading)
      for (let at = 0; at < leaves; at++) expect(kept, text).toContain(`leaf ${at}.`)
    }),
    { numRuns: 200 },
  )
})
