import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { withoutSecrets } from '../../src/indexer/text/redact.js'
import { secretlintRedactor } from '../../src/indexer/text/redact-secretlint.js'
import { SECRETS } from '../support/secrets.js'

const redactor = secretlintRedactor()

/** The longest run of a secret that is left; some characters in a row say nothing. */
function leftOf(secret: string, text: string): string {
  for (let length = 16; length >= 8; length--) {
    for (let at = 0; at + length <= secret.length; at++) {
      const piece = secret.slice(at, at + length)
      if (!/^-|BEGIN|PRIVATE|-----|authToken|https?:|hooks\.slack|services/.test(piece) && text.includes(piece)) return piece
    }
  }
  return ''
}

describe('the redactor takes out', () => {
  it.each(Object.keys(SECRETS))('%s, however it stands in a text', async (kind) => {
    const { text, secret } = SECRETS[kind] ?? { text: '', secret: '' }
    const escaped = JSON.stringify({ value: text })
    const around = [
      text,
      `please use ${text} for now`,
      `first line\n${text}\nlast line`,
      `\`${text}\`, (${text}) and '${text}'.`,
      `echo ${text} >> file`,
      escaped,
      `${'filler words '.repeat(5500)}${text}${' and more words'.repeat(6000)}`,
    ]
    for (const given of around) {
      const { text: clean, redacted } = await redactor.redact(given)
      expect(redacted, given.slice(0, 60)).toBeGreaterThan(0)
      expect(clean).toContain('[redacted: ')
      expect(leftOf(secret, clean), given.slice(0, 60)).toBe('')
    }
  })

  it('what stands at the joint of two pieces', async () => {
    const { text } = SECRETS['a GitHub token'] ?? { text: '' }
    const { text: jwt } = SECRETS['a JWT'] ?? { text: '' }
    const filler = 'some words and '
    for (let shift = 0; shift < 60; shift += 7) {
      const given = `${filler.repeat(3000).slice(0, 44 * 1024 - 30 + shift)} ${text} ${filler.repeat(1340).slice(0, 20_400 - 70)} ${jwt} ${filler.repeat(9000)}`
      const clean = await redactor.redact(given)
      expect(clean.redacted).toBe(2)
      expect(clean.text).not.toContain(text)
      expect(clean.text).not.toContain(jwt)
    }
  })

  it('a private key whose end is missing, and its lines only', async () => {
    const { text } = SECRETS['a private key (RSA)'] ?? { text: '' }
    const head = text.slice(0, text.indexOf('-----END'))
    const { text: clean } = await redactor.redact(`The output was cut:\n${head.trimEnd()}\n\nWhat now? Ask them.`)
    expect(clean).toBe('The output was cut:\n[redacted: privatekey]\n\nWhat now? Ask them.')
  })
})

describe('the redactor leaves', () => {
  it.each([
    'const password = process.env.DB_PASSWORD ?? "changeme"',
    'API_KEY=process.env.API_KEY and TOKEN=$TOKEN and SECRET=\u0024{SECRET} and DB_PASSWORD=<your password>',
    'MAX_TOKENS=4096 TOKENIZER_PATH=/models/tok2.json TOKEN_COUNT=123456789012',
    'import { tokenize } from "./tokenizer.js" // the bearer of this message, bearer authentication-and-authorization',
    'a class sk-fading-circle-wrapper and sk-folding-cube-large-size, a commit 4b825dc642cb6eb9a060e54bf8d69288fbee4904',
    'see https://example.com:8080/path@v2 and git@github.com:me/repo.git, mailto:someone@example.com',
    'ssh://git@host/path, http://localhost:3000/@scope/pkg, https://registry.npmjs.org/@types/node',
    'the header is -----BEGIN PRIVATE KEY----- and then lines follow',
    '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----',
    'ses_1f8b04eb7001wjevIbmMyLckL2 msg_1f8b04eb7001wjevIbmMyLckL2 toolu_01A09q90qw90lq917835lq9 call_abc123def456',
    'https://user:\u0024{PASSWORD}@host/path and postgres://{user}:{password}@{host}/db',
    'expect(x).toBe("secret") // TOKEN: the token of the lexer; API_KEY: name of the key',
    '',
  ])('%s', async (text) => {
    expect(await redactor.redact(text)).toEqual({ text, redacted: 0 })
  })
})

describe('the redactor', () => {
  it('has the versions of its rules in its name', () => {
    expect(redactor.name).toMatch(/^secretlint \d+\.\d+\.\d+, patterns \d+$/)
    expect(secretlintRedactor().name).toBe(redactor.name)
  })

  it('cannot be switched off by the text', async () => {
    const { text } = SECRETS['a GitHub token'] ?? { text: '' }
    const { redacted } = await redactor.redact(`// secretlint-disable\n${text} // secretlint-disable-line\n\ufeff`)
    expect(redacted).toBe(1)
    expect((await redactor.redact(`\ufeffuse ${text}!`)).text).toBe('\ufeffuse [redacted: github]!')
  })

  it('gives the same for the same text, and finds nothing in what it gave', async () => {
    const texts = Object.values(SECRETS).map(({ text }) => text)
    const property = fc.asyncProperty(
      fc.array(fc.oneof(fc.constantFrom(...texts), fc.string({ unit: 'binary', maxLength: 60 }), fc.lorem()), { maxLength: 8 }),
      async (parts) => {
        const once = await redactor.redact(parts.join('\n'))
        expect(await secretlintRedactor().redact(parts.join('\n'))).toEqual(once)
        expect((await redactor.redact(once.text)).redacted).toBe(0)
      },
    )
    await fc.assert(property, { numRuns: 100 })
  })

  it('keeps the loop free while a text of 1 MB is looked through, whatever the text', async () => {
    const units = [
      'some words of a session, const x = { a: 1 }; https://example.com/path\n',
      'a',
      'A',
      '://a:',
      '-----BEGIN PRIVATE KEY-----',
      'eyJaaaaaaaaaa.',
      'bearer ',
      'SECRET_',
      'postgres://a:b',
      'sk-a-',
      'xoxb-',
      '\n',
      ' =',
      'ghp_',
      'https://hooks.slack.com/',
      'SG.a',
      '-eyJ',
      '-eyJaaaaaaaa',
      '-----BEGIN A PRIVATE KEY-----\nAAAA: ',
    ]
    await redactor.redact('warm')
    for (const unit of units) {
      const text = unit.repeat(Math.ceil(2 ** 20 / unit.length))
      let turns = 0
      let over = false
      const count = (): void => {
        turns++
        if (!over) setImmediate(count)
      }
      setImmediate(count)
      const from = process.cpuUsage()
      await redactor.redact(text)
      over = true
      // one for each 44 KB; alone on a machine none takes longer than 20 ms, and the whole at most 90
      expect(turns, unit).toBeGreaterThanOrEqual(20)
      // Of the processor: other processes do not lengthen it.
      expect(process.cpuUsage(from).user / 1000, unit).toBeLessThan(5000)
    }
  })
})

describe('what was found', () => {
  it('is merged where it overlaps, named by what begins first, and ordered', () => {
    const found = [
      { start: 8, end: 12, rule: 'c' },
      { start: 2, end: 5, rule: 'b' },
      { start: 2, end: 6, rule: 'a' },
      { start: 5, end: 7, rule: 'b' },
      { start: 9, end: 9, rule: 'empty' },
    ]
    expect(withoutSecrets('0123456789abcdef', found)).toEqual({ text: '01[redacted: a]7[redacted: c]cdef', redacted: 2 })
    expect(withoutSecrets('text', [])).toEqual({ text: 'text', redacted: 0 })
  })
})
