/** What leaves the machine, and what is written on it, once a redactor is in use. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openEmbedCache } from '../../src/indexer/embedding/embed-cache.js'
import type { IndexProgress } from '../../src/indexer/engine.js'
import type { Redactor, Sink } from '../../src/indexer/ports.js'
import { textHashOf } from '../../src/indexer/text/document.js'
import { secretlintRedactor } from '../../src/indexer/text/redact-secretlint.js'
import { rig } from '../support/index-rig.js'
import { START, tempFolder } from '../support/index-world.js'
import { SECRETS } from '../support/secrets.js'

const secrets = Object.entries(SECRETS)
/** Pieces of each secret that are long enough to say something. */
const pieces = secrets.flatMap(([kind, { secret }]) => {
  const body = secret.replace(/-----[A-Z ]+-----/g, '').trim()
  return [body.slice(0, 12), body.slice(-12)].map((piece) => ({ kind, piece }))
})
// beginnings that many share
const COMMON = /^(?:sk-ant-|sk-proj-|github_pat|https:\/\/)/

function leaks(where: string): string[] {
  return pieces.flatMap(({ kind, piece }) => (!COMMON.test(piece) && where.includes(piece) ? [kind] : []))
}

function filesIn(folder: string): string {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
    .join('\n')
}

const texts = secrets.map(([kind, { text }], i) => `Message ${i}, with ${kind}:\n${text}\n${'and more words '.repeat(i * 9)}`)

describe('the secrets of a session', () => {
  it('reach no embedder, sink, record, cache, event, status or error', async () => {
    using folder = tempFolder()
    await using cache = await openEmbedCache({ directory: folder.path, now: () => START })
    const events: unknown[] = []
    const onProgress = (event: IndexProgress): void => {
      events.push(event.kind === 'failed' || event.kind === 'error' ? { ...event, error: String(event.error) } : event)
    }
    await using r = await rig({ redact: secretlintRedactor(), cache, onProgress, maxWalBytes: 2 ** 30 }, { memory: false })
    const planted = texts.join('\n')
    r.world.add('ses_a', texts, { title: `Use ${SECRETS['a GitHub token']?.text}` })
    r.world.add('ses_b', ['no secret here', 'nor here'])
    expect(new Set(leaks(planted)).size).toBeGreaterThan(secrets.length - 3)

    r.sink.before = () => {
      throw new Error(`the sink says: ${planted}`)
    }
    await r.run()
    expect((await r.indexer.walStatus()).records).toBe(2)
    const told = async (): Promise<string> =>
      JSON.stringify([events, await r.indexer.status(), await r.indexer.walStatus(), r.state.pending(), await r.indexer.deadLetters()])
    expect(leaks(await told())).toEqual([])
    for (const { seq } of r.state.pending()) expect(leaks(JSON.stringify(r.state.walRead(seq).rows))).toEqual([])

    r.sink.before = () => undefined
    r.clock.advance(600_000)
    await r.indexer.drain()
    const rows = [...r.sink.rows.values()]
    expect(leaks(JSON.stringify(rows))).toEqual([])
    expect(leaks(r.embedder.texts.join('\n'))).toEqual([])
    expect(rows.filter(({ text }) => text.includes('[redacted: ')).length).toBeGreaterThanOrEqual(secrets.length)
    expect(rows.map(({ metadata }) => metadata.title)).toContain('Use [redacted: github]')
    expect(leaks(await told())).toEqual([])
    expect(leaks(filesIn(r.folder) + filesIn(folder.path))).toEqual([])
    expect((await r.indexer.status()).counters.redacted).toBeGreaterThanOrEqual(secrets.length)
  })

  it('stay in the machine when a redactor fails: nothing of the session is sent until it works', async () => {
    const broken: Redactor & { failing: boolean } = {
      name: 'mine 1',
      failing: true,
      async redact(text) {
        if (this.failing) throw new Error(`no idea what ${text} is`)
        return { text, redacted: 0 }
      },
    }
    const events: IndexProgress[] = []
    await using r = await rig({ redact: broken, onProgress: (event) => events.push(event) })
    r.world.add('ses_a', texts.slice(0, 4))
    await r.run()
    expect([r.sink.rows.size, r.embedder.texts.length]).toEqual([0, 0])
    expect((await r.indexer.status()).lastError).toMatchObject({ code: 'REDACTION_FAILED' })
    expect(leaks(events.map((event) => (event.kind === 'failed' ? String(event.error) : '')).join())).toEqual([])
    broken.failing = false
    r.clock.advance(600_000)
    await r.indexer.drain()
    expect(r.sink.rows.size).toBeGreaterThan(3)
  })
})

describe('switching a redactor on, to another, and off', () => {
  it('sends no record that was made before it was on, and repeats no embedding of what it leaves as it is', async () => {
    using folder = tempFolder()
    await using cache = await openEmbedCache({ directory: folder.path, now: () => START })
    await using r = await rig({ cache })
    const token = SECRETS['a GitHub token']?.text ?? ''
    r.world.add('ses_a', ['plain words', `the token ${token}`], { title: `Use ${token}` })
    r.sink.before = () => {
      throw new Error('down')
    }
    await r.run()
    expect((await r.indexer.walStatus()).records).toBe(1)
    await r.indexer.stop()

    const sent: string[] = []
    r.sink.before = () => undefined
    const sink: Sink = {
      ...r.sink,
      async upsert(rows, options) {
        sent.push(JSON.stringify(rows.map(({ text, metadata }) => [text, metadata])))
        await r.sink.upsert(rows, options)
      },
    }
    r.embedder.texts.length = 0
    r.clock.advance(600_000)
    const { indexer } = await r.join(2, { sink, redact: secretlintRedactor() })
    await indexer.walRecover()
    expect((await indexer.walStatus()).records).toBe(0)
    await indexer.observe()
    await indexer.drain()
    expect(sent.join()).not.toContain(token)
    expect([...r.sink.rows.values()].map(({ text, metadata }) => [text, metadata.title])).toEqual([
      ['plain words', 'Use [redacted: github]'],
      ['the token [redacted: github]', 'Use [redacted: github]'],
    ])
    expect(r.embedder.texts).toEqual(['the token [redacted: github]'])
  })

  it('writes what changes anew, and embeds that alone', async () => {
    using folder = tempFolder()
    await using cache = await openEmbedCache({ directory: folder.path, now: () => START })
    await using r = await rig({ cache })
    const token = SECRETS['a GitHub token']?.text ?? ''
    r.world.add('ses_a', ['plain words', `the token ${token}`, 'more words'])
    await r.run()
    expect(JSON.stringify([...r.sink.rows.values()])).toContain(token)

    const under = async (pid: number, redact?: Redactor) => {
      r.embedder.texts.length = 0
      const { indexer } = await r.join(pid, { redact })
      await indexer.observe()
      await indexer.drain()
      return [...r.sink.rows.values()].map(({ text }) => text).sort()
    }
    expect(await under(2, secretlintRedactor())).toEqual(['more words', 'plain words', 'the token [redacted: github]'])
    expect(r.embedder.texts).toEqual(['the token [redacted: github]'])
    expect([...r.sink.rows.values()].map(({ metadata }) => metadata.text_hash)).toContain(textHashOf(['the token [redacted: github]']))
    await under(3, secretlintRedactor())
    expect(r.embedder.texts).toEqual([])
    const mine: Redactor = { name: 'mine', redact: async (text) => ({ text: text.replace('words', 'WORDS'), redacted: 1 }) }
    expect(await under(4, mine)).toEqual(['more WORDS', 'plain WORDS', `the token ${token}`])
    expect(await under(5)).toEqual(['more words', 'plain words', `the token ${token}`])
    expect(r.embedder.texts).toEqual([])
  })
})
