import { describe, expect, it } from 'vitest'
import type { Redactor } from '../../src/indexer/ports.js'
import { textHashOf } from '../../src/indexer/text/document.js'
import { projectMessage } from '../../src/indexer/text/projection.js'
import { projector } from '../../src/indexer/text/projector.js'
import { secretlintRedactor } from '../../src/indexer/text/redact-secretlint.js'
import { keyOf, nodeOf, START } from '../support/index-world.js'
import { SECRETS } from '../support/secrets.js'

const node = (text: string) => nodeOf(keyOf('ses_a'), { id: 'msg_a', role: 'user', text, changed: START, version: 1 })
const secretOf = (kind: string): string => SECRETS[kind]?.text ?? ''
const TOKEN = secretOf('a GitHub token')

/** Takes one word out, and remembers what it was given. */
function wordRedactor(word: string): Redactor & { readonly given: string[] } {
  const given: string[] = []
  return {
    name: `word ${word}`,
    given,
    async redact(text) {
      given.push(text)
      return { text: text.replaceAll(word, '[gone]'), redacted: text.split(word).length - 1 }
    },
  }
}

describe('a projector without a redactor', () => {
  it('gives what the projection gives, and has no name', async () => {
    const { project, projectTitle, projectName } = projector()
    const message = node(`${'words '.repeat(2000)}${TOKEN}`)
    expect(await project(message)).toEqual(projectMessage(message))
    expect([await projectTitle(TOKEN), projectName]).toEqual([TOKEN, ''])
  })
})

describe('a projector with a redactor', () => {
  const { project, projectTitle, projectName } = projector({ redact: secretlintRedactor() })

  it('leaves no piece of a secret, wherever the chunks are cut', async () => {
    for (let shift = 0; shift < 1700; shift += 13) {
      const { chunks, redacted, textHash } = await project(node(`${'x'.repeat(shift)} ${TOKEN}${' word'.repeat(600)}`))
      expect(redacted).toBe(1)
      expect(chunks.join(' ')).toContain('[redacted: github]')
      for (const chunk of chunks) for (const piece of [TOKEN.slice(0, 12), TOKEN.slice(-12)]) expect(chunk).not.toContain(piece)
      expect(textHash).toBe(textHashOf(chunks))
    }
  })

  it('finds a key before its lines are dropped as encoded bytes, and hidden in escape sequences', async () => {
    const key = secretOf('a long private key')
    expect((await project(node(`The key is\n${key}\nas they say.`))).chunks).toEqual(['The key is\n[redacted: privatekey]\nas they say.'])
    const coloured = `${TOKEN.slice(0, 10)}\u001b[31m${TOKEN.slice(10)}\u001b[0m`
    expect((await project(node(`use ${coloured} here`))).chunks).toEqual(['use [redacted: github] here'])
  })

  it('takes secrets out of titles', async () => {
    expect(await projectTitle(`Log in with ${TOKEN}`)).toBe('Log in with [redacted: github]')
    expect(await projectTitle('')).toBe('')
  })

  it('is named by its redactor', () => {
    expect(projectName).toContain(secretlintRedactor().name)
    expect(projectName).not.toBe(projector({ redact: wordRedactor('x') }).projectName)
  })

  it('changes no text without secrets', async () => {
    const message = node(`${'some words, and a path /home/dev/x.ts\n'.repeat(300)}${'QUJD'.repeat(80)}`)
    expect(await project(message)).toEqual({ ...projectMessage(message), redacted: 0 })
  })
})

describe('the budget of a message', () => {
  it('ends no text within a secret, and spends no search on what is left out', async () => {
    const redact = wordRedactor('SECRETWORD')
    const { project } = projector({ redact, maxBytes: 1000 })
    for (let shift = 980; shift < 1010; shift++) {
      const { chunks } = await project(node(`${'a '.repeat(shift / 2)}SECRETWORD and so on`))
      expect(chunks.join('')).not.toMatch(/SECRETW/)
    }
    redact.given.length = 0
    const parts = ['one', 'two '.repeat(500), 'three'].map((text) => node(text).parts[0]).filter((part) => part !== undefined)
    const { truncatedBytes, chunks } = await project({ ...node(''), parts })
    expect(redact.given).toHaveLength(2)
    expect(Buffer.byteLength(chunks.join('')) + truncatedBytes).toBeGreaterThan(1990)
    expect(truncatedBytes).toBeGreaterThan(1000)
  })

  it('is spent on text alone: a section whose secrets or bytes go is read on', async () => {
    const word = 'SECRETWORD'.repeat(30)
    const { project } = projector({ redact: wordRedactor(word), maxBytes: 100_000 })
    const text = `${`${word} `.repeat(5000)}the last words`
    const { chunks, truncatedBytes, redacted } = await project(node(text))
    expect(chunks.at(-1)).toMatch(/the last words$/)
    expect([truncatedBytes, redacted]).toEqual([0, 5000])
  })

  it('leaves no piece of a secret at the place where the search ends', async () => {
    const word = 'SECRETWORD'
    const { project } = projector({ redact: wordRedactor(word), maxBytes: 1000 })
    const { chunks } = await project(node(`${word}${'x'.repeat(10)} `.repeat(200_000)))
    expect(chunks.join('')).not.toMatch(/SECRETW/)
  })
})

describe('a redactor that fails', () => {
  it.each<[string, Redactor['redact']]>([
    ['throws', () => Promise.reject(new Error(`cannot handle ${TOKEN}`))],
    ['throws at once', () => JSON.parse(TOKEN)],
    ['gives nothing', async () => Object(undefined)],
    ['gives no text', async () => Object({ text: 7, redacted: 0 })],
    ['gives no number', async (text) => Object({ text })],
    ['gives a number that is none', async (text) => ({ text, redacted: -1 })],
  ])('%s: nothing is projected, and its words are not repeated', async (_, redact) => {
    const { project, projectTitle } = projector({ redact: { name: 'mine', redact } })
    for (const failing of [project(node(`use ${TOKEN}`)), projectTitle(TOKEN)]) {
      const error = await failing.catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'REDACTION_FAILED' })
      expect(Object(error).cause).toBeUndefined()
      expect(String(error)).not.toContain(TOKEN)
    }
  })
})
