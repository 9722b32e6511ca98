/** What is wrong with an option is told in the words of the command line, not in those of the library. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { LONGEST_WAIT_MS, numberUpTo, openStores, refuseHomeInStore } from '../../src/cli/command.js'
import { MOST_HITS } from '../../src/cli/search.js'
import { openSessions, watchSessions } from '../../src/index.js'
import { hashEmbedder, type Sink, searchIndex } from '../../src/indexer/index.js'
import { runCli, settledDemo } from '../support/cli.js'
import { tempFolder } from '../support/temp.js'

const HUGE = `1${'0'.repeat(20)}`
const INSIDE = "--home (or $SPANLEAF_HOME) lies inside an agent's store, where nothing may be written"

describe('a number', () => {
  it.each([
    [['search', 'x', '--limit', HUGE], '--limit <n>', '10,000'],
    [['search', 'x', '--limit', '10001'], '--limit <n>', '10,000'],
    [['tail', 'x', '--follow', '--poll', HUGE], '--poll <ms>', '2,147,483,647'],
    [['watch', '--poll', HUGE], '--poll <ms>', '2,147,483,647'],
  ])('that is too large is told with its flag: %j', (args, flag, most) => {
    const given = args.at(-1)
    const stderr = `error: option '${flag}' argument '${given}' is invalid. It must be at most ${most}.\n(see --help)\n`
    expect(runCli(args)).toEqual({ status: 2, stdout: '', stderr })
  })

  it('is one up to the most that is taken', () => {
    expect(numberUpTo(9)('9')).toBe(9)
    for (const text of ['10', '0', '-1', '1e20', '', ' 3', '1.5']) expect(() => numberUpTo(9)(text), text).toThrow(/^It must be /)
  })

  it('is refused here as far as the library refuses it', async () => {
    const sink = { space: 'hash/1/8', matching: async () => [], count: async () => 0 } as unknown as Sink
    const search = (limit: number) => searchIndex({ embedder: hashEmbedder(), sink }, 'x', { limit })
    expect(await search(MOST_HITS)).toEqual([])
    await expect(search(MOST_HITS + 1)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    using folder = tempFolder()
    await using sessions = await openSessions({ data: settledDemo(folder.path) })
    const watched = (pollMs: number) => watchSessions(sessions, { pollMs, watch: 'poll', signal: AbortSignal.abort() })[Symbol.asyncIterator]().next()
    expect(await watched(LONGEST_WAIT_MS)).toMatchObject({ done: true })
    await expect(async () => watched(LONGEST_WAIT_MS + 1)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })
})

describe("spanleaf's own folder", () => {
  it.each([[['ls']], [['show', 'x']], [['reindex']], [['index']], [['index', '--exclude', '/nowhere']], [['forget', 'x']]])(
    'may not lie in a store, and is told by its flag: %j',
    (args) => {
      using folder = tempFolder()
      const data = settledDemo(folder.path)
      const home = join(data, 'storage', 'own')
      const stderr = `spanleaf: ${INSIDE} (${home})\n`
      expect(runCli([...args, '--data', data, '--home', home])).toEqual({ status: 2, stdout: '', stderr })
      expect(runCli([...args, '--data', data], { SPANLEAF_HOME: home })).toEqual({ status: 2, stdout: '', stderr })
      expect(existsSync(home)).toBe(false)
    },
  )

  it('is refused before anything is opened in it', async () => {
    using folder = tempFolder()
    const data = settledDemo(folder.path)
    const home = join(data, 'storage', 'own')
    await expect(openStores({ data, home })).rejects.toMatchObject({ code: 'INVALID_OPTION', reason: INSIDE, path: home })
    await using sessions = await openStores({ data, home: false })
    expect(() => refuseHomeInStore(home, sessions)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', reason: INSIDE, path: home }))
    expect(() => refuseHomeInStore(join(folder.path, 'own'), sessions)).not.toThrow()
    await expect(openStores({ data: join(folder.path, 'none'), home })).rejects.not.toMatchObject({ reason: INSIDE })
  })
})
