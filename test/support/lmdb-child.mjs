/**
 * One process on an index state, for tests of several. Argument: {"task", "directory", ...}.
 *   hold    begins a transaction, says "holding", and stays in it until the file `until` exists, a minute at most
 *   hammer  claims, commits and releases until nothing is runnable; says which tokens it had, as JSON
 *   share   asks for four changes at once, of which the second is too large to be written; says how each ended, as JSON
 *   fill    writes records until the state cannot be written any more; says how that failed, as JSON
 */
import { closeSync, existsSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { parseMessageId, parseSessionId } from '../../dist/core/ids.js'
import { sessionKey } from '../../dist/core/keys.js'
import { openLmdb } from '../../dist/indexer/state/lmdb/env.js'
import { openLmdbState } from '../../dist/indexer/state/lmdb/state.js'

const options = JSON.parse(process.argv[2])
const { directory } = options
const say = (text) => writeSync(1, `${text}\n`)

const row = (fields) => ({ signature: 'v1', textHash: 'hash', chunks: ['key'], state: 'settled', meta: 'meta', at: 1, rev: 0, ...fields })

const tasks = {
  async hold() {
    const environment = await openLmdb({ path: join(directory, 'state.mdb'), tables: { meta: 'msgpack' } })
    await environment.transact((t) => {
      t.meta.putSync('held', true)
      say('holding')
      // Not for ever, should the one who is to make the file wait for us.
      const end = performance.now() + 60_000
      while (!existsSync(options.until) && performance.now() < end);
    })
    await environment[Symbol.asyncDispose]()
  },

  async hammer() {
    const state = await openLmdbState({ directory })
    const had = []
    for (;;) {
      const claim = await state.claim()
      if (claim === undefined) break
      const mark = join(options.marks, claim.key.session)
      // Fails when another process holds the session.
      closeSync(openSync(mark, 'wx'))
      const before = state.ledger(claim.key)
      const message = parseMessageId(`msg_${before.size + 1}`)
      await state.renew(claim)
      await state.commit(claim, { ledger: [{ message, row: row({ at: claim.token }) }] })
      unlinkSync(mark)
      had.push([claim.token, claim.key.session])
      await state.release(claim, { kind: 'done', more: before.size + 1 < options.messages })
    }
    await state[Symbol.asyncDispose]()
    say(JSON.stringify(had))
  },

  async share() {
    const environment = await openLmdb({ path: join(directory, 'x.mdb'), tables: { rows: 'msgpack', large: 'binary' } })
    const put = (name) => environment.transact((t) => t.rows.putSync(name, true))
    const ends = await Promise.allSettled([
      put('before'),
      environment.transact((t) => {
        t.large.putSync('large', Buffer.alloc(2 ** 20))
        t.rows.putSync('taken', true)
      }),
      put('after'),
      environment.transact((t) => {
        if (t.rows.get('taken')) throw new Error('taken')
        return 'free'
      }),
    ])
    const held = ['before', 'taken', 'after'].filter((name) => environment.tables.rows.get(name))
    await environment[Symbol.asyncDispose]()
    say(JSON.stringify({ ends: ends.map(({ value, reason }) => value ?? reason.code ?? reason.message), held }))
  },

  async fill() {
    let unhandled = 0
    process.on('unhandledRejection', () => unhandled++)
    const state = await openLmdbState({ directory })
    const key = sessionKey('opencode', parseSessionId('ses_a'))
    await state.observe({ seen: [{ key, revision: 'r', meta: 'm', store: '/store' }], gone: [] })
    const claim = await state.claim()
    let committed = 0
    try {
      for (;;) {
        const ledger = [{ message: parseMessageId(`msg_${committed}`), row: row({ meta: 'm'.repeat(3000) }) }]
        await state.commit(claim, { ledger })
        committed++
      }
    } catch (error) {
      const { messages } = state.status().ledger
      await new Promise((resolve) => setTimeout(resolve, 50))
      say(JSON.stringify({ committed, messages, code: error.code, unhandled }))
    }
    await state[Symbol.asyncDispose]()
  },
}

await tasks[options.task]()
