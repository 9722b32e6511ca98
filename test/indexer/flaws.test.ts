/** The flaws that this indexer was built to be free of, each by its number in the design, over the real state. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Key } from 'lmdb'
import { open } from 'lmdb'
import { describe, expect, it } from 'vitest'
import { openLmdbState } from '../../src/indexer/state/lmdb/state.js'
import { type Rig, rig } from '../support/index-rig.js'
import { contentOf, keyOf, START, tempFolder } from '../support/index-world.js'

const EMPTY_QUEUE = { ready: 0, leased: 0, backoff: 0 }

describe('atomicity and concurrency', () => {
  it('[F1] a transition that dies half-way leaves no half: SIGKILL inside the transaction', async () => {
    using folder = tempFolder()
    const script = `
      import { openLmdbState } from ${JSON.stringify(new URL('../../dist/indexer/state/lmdb/state.js', import.meta.url).href)}
      let armed = false
      const state = await openLmdbState({ directory: ${JSON.stringify(folder.path)}, failpoint: () => { if (armed) process.kill(process.pid, 'SIGKILL') } })
      const key = { kind: 'session', agent: 'opencode', session: 'ses_a' }
      await state.observe({ seen: [{ key, revision: 'r1', meta: 'm', store: '/store' }], gone: [] })
      armed = true
      await state.claim()
    `
    const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' })
    expect((await once(child, 'exit'))[1]).toBe('SIGKILL')
    await using state = await openLmdbState({ directory: folder.path })
    expect(state.status().queue).toEqual({ ready: 1, leased: 0, backoff: 0 })
    expect(await state.claim()).toMatchObject({ key: keyOf('ses_a'), token: 1, revision: 'r1' })
  })

  it('[F2] no state is held over an await: a change observed while a run embeds is not overwritten', async () => {
    await using it = await rig()
    const session = it.world.add('ses_a', ['one'])
    const { indexer: second } = await it.join(2)
    let edited = false
    it.sink.before = async () => {
      if (edited) return
      edited = true
      it.world.edit(session, (s) => s.messages.push({ id: 'msg_ses_a_0001', role: 'user', text: 'two', changed: s.updated, version: 1 }))
      await second.observe()
    }
    await it.run()
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(it.state.status().queue).toEqual(EMPTY_QUEUE)
  })

  it('[F3] a wake-up during a run is not lost, with no scan to cover for it', async () => {
    await using it = await rig()
    const session = it.world.add('ses_a', ['one'])
    await it.indexer.observe()
    const claim = await it.state.claim()
    it.world.edit(session, (s) => {
      s.title = 'Another title'
    })
    await it.indexer.observe()
    if (claim !== undefined) await it.state.release(claim, { kind: 'done' })
    expect(it.state.status().queue.ready).toBe(1)
    await it.indexer.drain()
    expect([...it.sink.rows.values()].map(({ metadata }) => metadata.title)).toEqual(['Another title'])
  })

  it('[F4] two processes never hold one session, and both may work on one state', async () => {
    await using it = await rig()
    for (let i = 0; i < 20; i++) it.world.add(`ses_${i}`, [`one ${i}`, `two ${i}`])
    const second = await it.join(2)
    await it.indexer.observe()
    const reports = await Promise.all([it.indexer.drain(), second.indexer.drain()])
    expect(reports.map(({ claims }) => claims).reduce((a, b) => a + b)).toBe(20)
    expect(it.embedder.texts.length).toBe(40)
    expect(contentOf(it.sink)).toEqual(it.world.expected())
  })

  it('[F5] an owner that wakes up after its lease was taken over writes nothing more', async () => {
    await using it = await rig({ sinkBatchSize: 1 })
    it.world.add('ses_a', ['one', 'two', 'three'])
    const second = await it.join(2)
    let upserts = 0
    it.sink.before = async () => {
      upserts++
      if (upserts !== 1) return
      it.clock.mono += 20_000
      await second.indexer.drain()
    }
    await it.indexer.observe()
    await it.indexer.drain()
    // One by the sleeper, three by its successor, who drained the record; the sleeper stopped before its second.
    expect(upserts).toBe(4)
    expect(it.embedder.texts.length).toBe(3)
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(it.state.status()).toMatchObject({ queue: EMPTY_QUEUE, wal: { records: 0 }, counters: { takeovers: 1, replays: 1 } })
  })
})

describe('what counts as a change', () => {
  it('[F17] revisions are opaque: any other value is a change', async () => {
    await using it = await rig()
    const session = it.world.add('ses_a', ['one'])
    await it.run()
    session.revision = -7
    session.messages[0] = { id: 'msg_ses_a_0000', role: 'user', text: 'other', changed: session.updated, version: 2 }
    await it.run()
    expect(contentOf(it.sink)).toEqual(it.world.expected())
  })

  it('[F18] an older revision, as after a restored backup, is a change too', async () => {
    await using it = await rig()
    const session = it.world.add('ses_a', ['one', 'two'], { revision: 5 })
    await it.run()
    session.revision = 4
    session.updated -= 1_000_000
    session.messages.pop()
    await it.run()
    expect(contentOf(it.sink)).toEqual(it.world.expected())
  })

  it('[F19] messages have identity, not places: delete one, add one, and insert one before the end', async () => {
    await using it = await rig()
    const session = it.world.add('ses_a', ['one', 'two', 'three', 'four'])
    await it.run()
    it.world.edit(session, (s) => {
      s.messages.splice(1, 1)
      s.messages.splice(1, 0, { id: 'msg_ses_a_0001b', role: 'user', text: 'between', changed: s.updated, version: 1 })
      s.messages.push({ id: 'msg_ses_a_0009', role: 'user', text: 'last', changed: s.updated, version: 1 })
    })
    await it.run()
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(it.embedder.texts).toEqual(['one', 'two', 'three', 'four', 'between', 'last'])
  })

  it('[F20] a message that is still written is embedded once, when it is done', async () => {
    await using it = await rig()
    const session = it.world.add('ses_a', ['question'], { updated: START })
    const message = { id: 'msg_ses_a_0001', role: 'assistant' as const, text: 'Let', changed: START, version: 1 }
    session.messages.push(message)
    await it.run()
    for (const text of ['Let me', 'Let me look']) {
      it.clock.advance(10_000)
      it.world.edit(session, () => Object.assign(message, { text, version: message.version + 1, changed: it.clock.now() }))
      await it.run()
    }
    expect(it.embedder.texts).toEqual(['question'])
    expect(it.state.status().queue).toEqual({ ready: 0, leased: 0, backoff: 1 })
    Object.assign(message, { version: 9, completed: it.clock.now() })
    it.clock.advance(10_000)
    await it.indexer.drain()
    expect(it.embedder.texts).toEqual(['question', 'Let me look'])
    expect(it.state.status()).toMatchObject({ queue: EMPTY_QUEUE, counters: { failures: 0 } })
  })

  it('[F21] deleted and reverted messages and removed sessions leave the sink', async () => {
    await using it = await rig()
    const session = it.world.add('ses_a', ['one', 'two', 'three', 'four'])
    it.world.add('ses_b', ['five'])
    await it.run()
    it.world.edit(session, (s) => s.messages.splice(1, 1))
    await it.run()
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    it.world.edit(session, (s) => {
      s.revert = 'msg_ses_a_0002'
    })
    await it.run()
    expect([...it.sink.rows.values()].map(({ text }) => text).sort()).toEqual(['five', 'one'])
    it.world.sessions.delete('ses_b')
    await it.run()
    expect([...it.sink.rows.values()].map(({ text }) => text)).toEqual(['one'])
    expect(it.state.status().ledger).toMatchObject({ sessions: 1, messages: 1, documents: 1 })
  })

  it('[F21] a failed or partial listing or reading deletes nothing', async () => {
    await using it = await rig()
    const session = it.world.add('ses_a', ['one', 'two'])
    it.world.add('ses_b', ['three'])
    await it.run()
    const before = contentOf(it.sink)
    it.world.stores.set('/store', false)
    it.world.sessions.delete('ses_b')
    it.world.tailComplete = false
    it.world.edit(session, (s) => s.messages.pop())
    for (let i = 0; i < 4; i++) await it.run()
    expect(contentOf(it.sink)).toEqual(before)
    // The listing is complete, yet when asked again the store cannot tell.
    it.world.stores.set('/store', true)
    const blind = { ...it.world.source(), revision: () => Promise.reject(new Error('EIO')) }
    const { indexer } = await it.join(3, { sessions: blind })
    for (let i = 0; i < 3; i++) await indexer.observe()
    await indexer.drain()
    expect(contentOf(it.sink)).toEqual(before)
  })
})

describe('the write-ahead record', () => {
  it('[F22] replay sets no old watermark: what was cut off before the replay is indexed and removed rightly', async () => {
    await using it = await rig()
    const session = it.world.add('ses_a', ['one', 'two', 'three'])
    it.sink.before = () => Promise.reject(new Error('down'))
    await it.run()
    it.world.edit(session, (s) => {
      s.messages.splice(1)
      s.messages.push({ id: 'msg_ses_a_0007', role: 'user', text: 'new', changed: s.updated, version: 1 })
    })
    it.sink.before = () => undefined
    await it.run()
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(it.state.status().counters.replays).toBe(1)
  })

  it('[F23] [F24] with the sink down one record waits per session, and nothing is embedded twice', async () => {
    await using it = await rig({ batchSize: 2, recordSize: 2, concurrency: 1 })
    it.world.add('ses_a', ['one', 'two', 'three', 'four', 'five'])
    it.world.add('ses_b', ['six'])
    it.sink.before = () => Promise.reject(new Error('secret words of the sink'))
    await it.run()
    for (let i = 0; i < 5; i++) {
      it.clock.advance(120_000)
      await it.run()
    }
    expect(it.state.status()).toMatchObject({ queue: { ready: 0, leased: 0, backoff: 2 }, wal: { records: 2 }, lastError: { code: 'SINK_FAILED' } })
    expect(JSON.stringify(it.state.status())).not.toContain('secret')
    expect(it.embedder.texts).toEqual(['one', 'two', 'six'])
    it.sink.before = () => undefined
    it.clock.advance(120_000)
    await it.indexer.drain()
    expect(it.embedder.texts).toEqual(['one', 'two', 'six', 'three', 'four', 'five'])
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(it.state.status()).toMatchObject({ queue: EMPTY_QUEUE, wal: { records: 0, bytes: 0 } })
  })

  it('[F25] the ledger moves and the record goes together', async () => {
    await using it = await rig({
      failpoint: (name) => {
        if (name === 'g') throw new Error('stopped between the sink and the commit')
      },
    })
    it.world.add('ses_a', ['one'])
    await it.run()
    expect(it.state.status()).toMatchObject({ wal: { records: 1 }, ledger: { messages: 0 } })
    const { indexer } = await it.join(1, { failpoint: () => undefined })
    it.clock.advance(120_000)
    await indexer.drain()
    expect(it.state.status()).toMatchObject({ wal: { records: 0 }, ledger: { messages: 1, documents: 1 } })
    expect(it.embedder.texts).toEqual(['one'])
  })
})

async function damageWal(it: Rig, change: (bytes: Buffer) => void, table = 'walM'): Promise<void> {
  const root = open<Buffer, Key>({ path: join(it.folder, 'state.mdb'), noSubdir: true, maxDbs: 24, overlappingSync: false })
  const records = root.openDB<Buffer, Key>({ name: table, encoding: 'binary' })
  for (const { key, value } of [...records.getRange({})]) {
    const bytes = Buffer.from(value)
    change(bytes)
    records.putSync(key, bytes)
  }
  await root.flushed
  await root.close()
}

describe('a record that cannot be used', () => {
  const flip = (bytes: Buffer): void => {
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1
  }

  it.each(['walM', 'walH'])('[F27] [F35] damaged in %s is put aside, not deleted, and the sink is put right', async (table) => {
    await using it = await rig({ sinkBatchSize: 1 })
    const session = it.world.add('ses_a', ['one', 'two'])
    it.sink.before = ({ ids }) => {
      if (it.sink.rows.size === 1) throw new Error(`down after ${ids.length}`)
    }
    await it.run()
    expect(it.sink.rows.size).toBe(1)
    await damageWal(it, flip, table)
    // Meanwhile the message whose document got through is deleted: only a look at the sink can find that document.
    it.world.edit(session, (s) => s.messages.shift())
    it.sink.before = () => undefined
    await it.run()
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(it.state.deadLetters()).toMatchObject([{ kind: 'record', code: 'WAL_DAMAGED' }])
    expect(it.state.status()).toMatchObject({ queue: EMPTY_QUEUE, wal: { records: 0, bytes: 0 }, dead: 1, counters: { quarantined: 1 } })
  })

  it('[F27] of a newer version is left alone, and nothing runs', async () => {
    await using it = await rig({})
    it.world.add('ses_a', ['one'])
    it.sink.before = () => Promise.reject(new Error('down'))
    await it.run()
    await damageWal(it, (bytes) => bytes.writeUInt16LE(2, 4))
    it.sink.before = () => undefined
    it.clock.advance(120_000)
    await expect(it.indexer.drain()).rejects.toMatchObject({ code: 'STATE_TOO_NEW' })
    expect(it.state.status()).toMatchObject({ wal: { records: 1 }, dead: 0, queue: { ready: 1, leased: 0, backoff: 0 } })
    await damageWal(it, (bytes) => bytes.writeUInt16LE(1, 4))
    await it.indexer.drain()
    expect(it.embedder.texts).toEqual(['one'])
    expect(contentOf(it.sink)).toEqual(it.world.expected())
  })
})
