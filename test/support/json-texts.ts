/** JSON texts and what is nearly JSON: every scalar that parsers disagree on, nesting, and what mutations make of them. */
import fc from 'fast-check'

const SCALARS = [
  '1',
  '-0',
  '0.5E+2',
  '-1.5e10',
  '1e999',
  '1e-999',
  '1.7976931348623157e309',
  '9223372036854775808',
  '18446744073709551616',
  '123456789012345678901234567890',
  'true',
  'false',
  'null',
  '""',
  '"a"',
  '"é€😀\u2028"',
  '"\u007f"',
  '"\\ud83d"',
  '"\\udc00\\ud800"',
  '"\\u0000"',
  '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
  '{"a":1,"a":2}',
  '{"__proto__":null}',
]

const STRAYS = [
  ...['"', '\\', ',', ':', '[', ']', '{', '}', '0', '01', '-', '.', 'e', '+', ' ', '\n', '\v', '\f', '\u0000', '\u0000\u0000\u0000\u0000', '\u0001'],
  ...['\u001f', '\u00a0', '\ufeff', '\u2028', 't', 'nul', '\\u', '\\u12', '\\x', '//', '/**/', 'NaN', 'Infinity', "'", 'undefined', '\ufffd', 'é'],
]

const space = fc.constantFrom('', '', '', ' ', '\n  ', '\t', '\r\n')

const { value } = fc.letrec<{ value: string; list: string; object: string; scalar: string }>((tie) => ({
  scalar: fc.oneof(fc.constantFrom(...SCALARS), fc.json({ maxDepth: 1 })),
  list: fc.tuple(space, fc.array(tie('value'), { maxLength: 4 })).map(([blank, items]) => `[${blank}${items.join(`,${blank}`)}${blank}]`),
  object: fc
    .tuple(space, fc.array(fc.tuple(fc.constantFrom('a', 'b', 'é', ''), tie('value')), { maxLength: 4 }))
    .map(([blank, members]) => `{${blank}${members.map(([name, text]) => `"${name}"${blank}:${text}`).join(`,${blank}`)}}`),
  value: fc.oneof({ maxDepth: 4 }, tie('scalar'), tie('list'), tie('object')),
}))

const deep = fc.constantFrom(1000, 1023, 1024, 1025, 5000).map((depth) => `${'['.repeat(depth)}${']'.repeat(depth)}`)

/** JSON, all of it. */
export const jsonText: fc.Arbitrary<string> = fc.oneof({ weight: 20, arbitrary: value }, { weight: 1, arbitrary: deep })

interface Change {
  readonly at: number
  readonly stray: string
  readonly act: 'insert' | 'delete' | 'replace' | 'cut' | 'append'
}

const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(),
  stray: fc.constantFrom(...STRAYS),
  act: fc.constantFrom('insert' as const, 'delete' as const, 'replace' as const, 'cut' as const, 'append' as const),
})

/** JSON, and JSON that was changed in up to three places. */
export const nearlyJson: fc.Arbitrary<string> = fc
  .tuple(jsonText, fc.array(change, { maxLength: 3 }))
  .map(([text, changes]) => changes.reduce(changed, text))

function changed(text: string, { at, stray, act }: Change): string {
  const place = at % (text.length + 1)
  const [head, tail] = [text.slice(0, place), text.slice(place)]
  switch (act) {
    case 'insert':
      return head + stray + tail
    case 'delete':
      return head + tail.slice(1)
    case 'replace':
      return head + stray + tail.slice(1)
    case 'cut':
      return head
    case 'append':
      return text + stray
  }
}

/** What JSON.parse says. */
export function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
