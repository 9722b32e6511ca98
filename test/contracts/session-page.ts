/** What pages of sessions must do, wherever they are read from: `describePages('mine', async () => aWorld)`. */
import { describe, expect, it } from 'vitest'
import { type ProjectId, parseSessionId } from '../../src/core/ids.js'
import { type Agent, type SessionKey, sessionKey } from '../../src/core/keys.js'
import type { SessionRecord } from '../../src/core/records.js'
import type { Generation } from '../../src/storage/generation.js'
import type { SessionEntry } from '../../src/storage/store.js'
import type { SessionPage, SessionQuery, SessionSort } from '../../src/tree/sessions/session-page.js'

/** One session of one store: each agent has one. */
export interface PageRow {
  readonly id: string
  /** @default 'opencode' */
  readonly agent?: Agent
  readonly title?: string
  /** @default '/work' */
  readonly directory?: string
  /** @default 1 */
  readonly created?: number
  /** @default created */
  readonly updated?: number
  readonly parent?: string
  readonly archived?: number
  readonly label?: string
  readonly tag?: string
  readonly prompt?: string
}

export interface PageWorld extends AsyncDisposable {
  /** From now on these are all sessions that there are. */
  put(rows: readonly PageRow[]): Promise<void>
  page(query?: SessionQuery): Promise<SessionPage>
}

export type MakePageWorld = () => Promise<PageWorld>

/** What the store of an agent lists for these rows. */
export function entriesOf(rows: readonly PageRow[], agent: Agent): readonly SessionEntry[] {
  return rows.filter((row) => (row.agent ?? 'opencode') === agent).map(entryOf)
}

function entryOf({ id, agent = 'opencode', title = '', directory = '/work', created = 1, updated = created, ...row }: PageRow): SessionEntry {
  const key: SessionKey = sessionKey(agent, parseSessionId(id))
  const record: SessionRecord = {
    id: key.session,
    projectID: 'global' as ProjectId,
    directory,
    title,
    version: '1.0.0',
    ...(row.parent !== undefined && { parentID: parseSessionId(row.parent) }),
    ...(row.label !== undefined && { label: row.label }),
    ...(row.tag !== undefined && { tag: row.tag }),
    ...(row.prompt !== undefined && { prompt: row.prompt }),
    time: { created, updated, ...(row.archived !== undefined && { archived: row.archived }) },
  }
  const generation = JSON.stringify(record) as string as Generation
  return { key, project: 'global', record, path: `/stores/${agent}`, generation }
}

export function describePages(name: string, make: MakePageWorld): void {
  const given = async (rows: readonly PageRow[]): Promise<PageWorld> => {
    const world = await make()
    await world.put(rows)
    return world
  }
  describe(`${name}: pages of sessions`, () => {
    describeOrder(given)
    describeFilters(given)
    describeSearch(given)
    describePaging(given)
  })
}

type Given = (rows: readonly PageRow[]) => Promise<PageWorld>

async function ids(world: PageWorld, query?: SessionQuery): Promise<readonly string[]> {
  return (await world.page(query)).sessions.map(({ id }) => id)
}

function describeOrder(given: Given): void {
  it('goes by the last update, by creation, or by name; equal ones by id, then by agent', async () => {
    await using world = await given([
      { id: 'c', title: 'Bee', created: 1, updated: 9 },
      { id: 'b', title: 'ant', created: 3, updated: 3 },
      { id: 'a', title: 'Ärger', created: 2, updated: 9 },
      { id: 'a', agent: 'claude', title: 'arg', created: 2, updated: 9 },
    ])
    const named = async (sort: SessionSort): Promise<readonly string[]> =>
      (await world.page({ sort })).sessions.map(({ key, id }) => `${key.agent}/${id}`)
    expect(await named('updated')).toEqual(['claude/a', 'opencode/a', 'opencode/c', 'opencode/b'])
    expect(await named('created')).toEqual(['opencode/b', 'claude/a', 'opencode/a', 'opencode/c'])
    expect(await named('name')).toEqual(['opencode/b', 'claude/a', 'opencode/a', 'opencode/c'])
    expect(await ids(world)).toEqual(['a', 'a', 'c', 'b'])
  })

  it('sorts names without case and accents, by code points, and those without one last', async () => {
    const titles = ['', 'zebra', 'Émile', 'emil', 'ΑΒΓ', '日本', '🚀 up', 'ＦＵＬＬ', '  ', '10', '9', 'Zoë']
    await using world = await given(titles.map((title, at) => ({ id: `s${String(at).padStart(2, '0')}`, title })))
    const shown = (await world.page({ sort: 'name' })).sessions.map(({ title }) => title)
    expect(shown).toEqual(['10', '9', 'emil', 'Émile', 'zebra', 'Zoë', 'ΑΒΓ', '日本', 'ＦＵＬＬ', '🚀 up', '', '  '])
  })

  it('gives whole rows', async () => {
    const row = {
      id: 's',
      agent: 'claude',
      title: 'T',
      directory: '/work/a b',
      created: 5,
      updated: 7,
      archived: 8,
      label: 'L',
      tag: 'G',
      prompt: 'P',
    } as const
    await using world = await given([row, { id: 'p', agent: 'claude', parent: 's' }])
    const [meta] = (await world.page({ archived: true })).sessions
    const { agent, ...fields } = row
    expect(meta).toMatchObject({ ...fields, key: { kind: 'session', agent, session: 's' }, parent: undefined, damaged: false })
    const [child] = (await world.page({ children: true })).sessions
    expect(child).toMatchObject({ id: 'p', parent: 's' })
  })
}

function describeFilters(given: Given): void {
  const rows: readonly PageRow[] = [
    { id: 'own', updated: 9, directory: '/work', tag: 'red' },
    { id: 'below', updated: 8, directory: '/work/deep', agent: 'claude' },
    { id: 'beside', updated: 7, directory: '/workshop', agent: 'pi', tag: 'Red' },
    { id: 'slash', updated: 6, directory: '/work/' },
    { id: 'child', updated: 5, parent: 'own' },
    { id: 'old', updated: 4, archived: 4 },
    { id: 'oldchild', updated: 3, archived: 4, parent: 'own' },
    { id: 'windows', updated: 2, directory: 'C:\\work' },
    { id: '100%_a', updated: 1, directory: '/wo_k%' },
  ]

  it('leaves children and archived ones out unless they are asked for', async () => {
    await using world = await given(rows)
    const plain = ['own', 'below', 'beside', 'slash', 'windows', '100%_a']
    expect(await ids(world)).toEqual(plain)
    expect(await ids(world, { children: true })).toEqual([...plain.slice(0, 4), 'child', ...plain.slice(4)])
    expect(await ids(world, { archived: true })).toEqual([...plain.slice(0, 4), 'old', ...plain.slice(4)])
    expect(await ids(world, { archived: true, children: true })).toHaveLength(rows.length)
  })

  it('narrows by agents, tag and folder', async () => {
    await using world = await given(rows)
    expect(await ids(world, { agent: 'claude' })).toEqual(['below'])
    expect(await ids(world, { agent: ['pi', 'claude'] })).toEqual(['below', 'beside'])
    expect(await ids(world, { agent: [] })).toEqual([])
    expect(await ids(world, { tag: 'red' })).toEqual(['own'])
    expect(await ids(world, { tag: '' })).toEqual([])
    expect(await ids(world, { cwd: '/work' })).toEqual(['own', 'slash'])
    expect(await ids(world, { cwd: '/work', children: true, archived: true })).toEqual(['own', 'slash', 'child', 'old', 'oldchild'])
    expect(await ids(world, { cwd: '/work/' })).toEqual(['own', 'below', 'slash'])
    expect(await ids(world, { cwd: '/' })).toEqual(['own', 'below', 'beside', 'slash', '100%_a'])
    expect(await ids(world, { cwd: 'C:/work' })).toEqual(['windows'])
    expect(await ids(world, { cwd: ['/workshop', '/work/deep'] })).toEqual(['below', 'beside'])
    expect(await ids(world, { cwd: '/wo_k%' })).toEqual(['100%_a'])
    expect(await ids(world, { cwd: '/wo%/' })).toEqual([])
    expect(await ids(world, { cwd: '/work', agent: 'claude' })).toEqual([])
  })

  it('takes half a character in a folder or a tag for the sign that stands for any such', async () => {
    const half = { directory: '/cut \ud83d', tag: 'cut \ud83d' }
    await using world = await given([
      { id: 'half', updated: 2, ...half },
      { id: 'sign', updated: 1, directory: '/cut \ufffd/in', tag: 'cut \ufffd' },
    ])
    for (const text of ['cut \ud83d', 'cut \ufffd']) {
      expect(await ids(world, { tag: text })).toEqual(['half', 'sign'])
      expect(await ids(world, { cwd: `/${text}` })).toEqual(['half'])
      expect(await ids(world, { cwd: `/${text}/` })).toEqual(['half', 'sign'])
      expect(await ids(world, { cwd: `/${text}/`, sort: 'created', tag: text })).toEqual(['half', 'sign'])
    }
  })

  it('refuses what is no query', async () => {
    await using world = await given(rows)
    const wrong = [
      { sort: 'size' },
      { agent: 'emacs' },
      { limit: 0 },
      { limit: Number.NaN },
      { cwd: '' },
      { tag: 3 },
      { search: 3 },
      { where: '1' },
      { archived: 'false' },
      { children: 0 },
    ]
    for (const query of wrong) await expect(world.page(query as SessionQuery)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })
}

function describeSearch(given: Given): void {
  const rows: readonly PageRow[] = [
    { id: 'retry', updated: 9, title: 'Flaky retry test: backoff' },
    { id: 'cafe', updated: 8, title: 'Ein Café in Zürich', label: 'weekend trip' },
    { id: 'code', updated: 7, title: 'fix foo_bar() && "quoted" * (NEAR)' },
    { id: 'upper', updated: 6, title: 'RETRYING THE RETRY' },
    { id: 'greek', updated: 5, title: 'ΟΔΟΣ και ναός' },
    { id: 'cyrillic', updated: 4, title: 'Ёлка и Йод' },
    { id: 'kanji', updated: 3, title: '検索の 性能' },
    { id: 'decomposed', updated: 2, title: 'une cafe\u0301te\u0301ria' },
    { id: 'prompt', updated: 1.5, title: 'A name', label: 'marked', prompt: `Why does the größte pelican dive? ${'so '.repeat(300)} surely\ud800` },
    { id: 'child', updated: 1, title: 'retry', parent: 'retry' },
  ]
  const finds: readonly (readonly [string, readonly string[]])[] = [
    ['retry', ['retry', 'upper']],
    ['RETRY', ['retry', 'upper']],
    ['retr', ['retry', 'upper']],
    ['etry', []],
    ['test retry', ['retry']],
    ['retr test', []],
    ['test retr', ['retry']],
    ['backoff.', ['retry']],
    ['cafe', ['cafe', 'decomposed']],
    ['CAFÉ', ['cafe', 'decomposed']],
    ['cafe\u0301', ['cafe', 'decomposed']],
    ['zurich', ['cafe']],
    ['zürich café', ['cafe']],
    ['trip zür', ['cafe']],
    ['weekend', ['cafe']],
    ['quoted', ['code']],
    ['"quoted"', ['code']],
    ['"unbalanced quoted', []],
    ['" quoted', ['code']],
    ['foo_bar', ['code']],
    ['foo bar', ['code']],
    ['foo*', ['code']],
    ['near', ['code']],
    ['NEAR(foo bar)', ['code']],
    ['NEAR(foo code)', []],
    ['foo AND bar', []],
    ['foo OR retry', []],
    ['NOT foo', []],
    ['title:foo', []],
    ['^flaky', ['retry']],
    ['-flaky', ['retry']],
    ["'; drop table sessions; --", []],
    ['οδος', ['greek']],
    ['ναοσ', ['greek']],
    ['ναός', ['greek']],
    ['елка', ['cyrillic']],
    ['иод', ['cyrillic']],
    ['検索', ['kanji']],
    ['性能', ['kanji']],
    ['索の', []],
    ['pelican', ['prompt']],
    ['GROSSTE', []],
    ['größ', ['prompt']],
    ['surely', ['prompt']],
    ['marked name pelic', ['prompt']],
    ['nothing', []],
    ['\u0000', rows.filter(({ parent }) => parent === undefined).map(({ id }) => id)],
    ['  ', rows.filter(({ parent }) => parent === undefined).map(({ id }) => id)],
    ['*"(', rows.filter(({ parent }) => parent === undefined).map(({ id }) => id)],
  ]

  it.each(finds)('finds %j', async (search, expected) => {
    await using world = await given(rows)
    expect(await ids(world, { search })).toEqual(expected)
  })

  it('searches within the other filters, in any order, page by page', async () => {
    await using world = await given(rows)
    expect(await ids(world, { search: 'retry', children: true, sort: 'name' })).toEqual(['retry', 'child', 'upper'])
    const first = await world.page({ search: 'retry', limit: 1 })
    expect(first.sessions.map(({ id }) => id)).toEqual(['retry'])
    expect(await ids(world, { search: 'retry', limit: 1, after: first.next ?? '' })).toEqual(['upper'])
  })

  it('finds a session by its new title, and no more by the old one', async () => {
    await using world = await given(rows)
    await world.put([{ id: 'retry', updated: 9, title: 'Renamed' }, ...rows.slice(1)])
    expect(await ids(world, { search: 'flaky' })).toEqual([])
    expect(await ids(world, { search: 'renamed' })).toEqual(['retry'])
  })

  it('finds a session by its first prompt while that is there', async () => {
    await using world = await given([{ id: 'a', title: 'A name' }])
    expect(await ids(world, { search: 'pelican' })).toEqual([])
    await world.put([{ id: 'a', title: 'A name', prompt: 'the pelican' }])
    expect(await ids(world, { search: 'pelican' })).toEqual(['a'])
    await world.put([{ id: 'a', title: 'A name', prompt: 'the heron' }])
    expect([await ids(world, { search: 'pelican' }), await ids(world, { search: 'heron' })]).toEqual([[], ['a']])
  })
}

function describePaging(given: Given): void {
  const sorts = ['updated', 'created', 'name'] as const
  /** Ties in every order, and more of them than a page holds. */
  const many = Array.from({ length: 23 }, (_, at) => ({
    id: `s${String((at * 7) % 23).padStart(2, '0')}`,
    title: `t${at % 3}`,
    created: at % 4,
    updated: 5 + (at % 2),
  }))

  const pages = async (world: PageWorld, query: SessionQuery): Promise<readonly (readonly string[])[]> => {
    const found: (readonly string[])[] = []
    let after: string | undefined
    do {
      const page = await world.page({ ...query, ...(after !== undefined && { after }) })
      found.push(page.sessions.map(({ id }) => id))
      after = page.next
    } while (after !== undefined && found.length < 100)
    return found
  }

  it.each(sorts)('gives every row once, in the same order, whatever the size of the pages: %s', async (sort) => {
    await using world = await given(many)
    const [whole] = await pages(world, { sort, limit: 100 })
    expect(whole).toHaveLength(many.length)
    for (const limit of [1, 2, 5, 22, 23, 24]) {
      const found = await pages(world, { sort, limit })
      expect(found.flat()).toEqual(whole)
      expect(found).toHaveLength(Math.ceil(many.length / limit))
    }
  })

  it.each(['Fix it \ud83d', '\udc00 it', '\ud800'])('goes on among equal titles that hold half a character: %j', async (title) => {
    const others = ['a', '\uffff', '\u{1f600}', 'Fix it \ufffd', 'Fix it \ud83e', '']
    await using world = await given([...many.map((row) => ({ ...row, title })), ...others.map((text, at) => ({ id: `x${at}`, title: text }))])
    const [whole] = await pages(world, { sort: 'name', limit: 100 })
    expect(whole).toHaveLength(many.length + others.length)
    for (const limit of [1, 5, 23]) expect((await pages(world, { sort: 'name', limit })).flat()).toEqual(whole)
  })

  it('gives 50 rows unless told otherwise, and no next page where there is none', async () => {
    await using world = await given(Array.from({ length: 51 }, (_, at) => ({ id: `s${at}` })))
    const first = await world.page()
    expect(first.sessions).toHaveLength(50)
    const second = await world.page({ after: first.next ?? '' })
    expect([second.sessions.length, second.next, second.stale]).toEqual([1, undefined, false])
    await world.put([])
    expect(await world.page()).toEqual({ sessions: [], next: undefined, stale: false })
    expect(await world.page({ after: first.next ?? '' })).toEqual({ sessions: [], next: undefined, stale: false })
  })

  it('goes on where it was while rows come, go and move', async () => {
    const row = (id: string, updated: number): PageRow => ({ id, updated })
    await using world = await given([row('a', 9), row('b', 8), row('c', 7), row('d', 6), row('e', 5)])
    const { next = '', sessions } = await world.page({ limit: 2 })
    expect(sessions.map(({ id }) => id)).toEqual(['a', 'b'])
    // The last row of the page is gone, one that was given moved up, one came above and one below, one that was to come moved up.
    await world.put([row('e', 20), row('new', 10), row('a', 9), row('c', 7), row('late', 6.5), row('d', 6)])
    expect(await ids(world, { limit: 2, after: next })).toEqual(['c', 'late'])
    expect(await ids(world, { limit: 9, after: next })).toEqual(['c', 'late', 'd'])
  })

  it('goes on among equal ones of two agents', async () => {
    await using world = await given([
      { id: 'same', agent: 'claude' },
      { id: 'same', agent: 'pi' },
      { id: 'same', agent: 'opencode' },
    ])
    const agents: string[] = []
    for (let after: string | undefined = ''; after !== undefined; ) {
      const page: SessionPage = await world.page({ limit: 1, ...(after !== '' && { after }) })
      agents.push(...page.sessions.map(({ key }) => key.agent))
      after = page.next
    }
    expect(agents).toEqual(['claude', 'opencode', 'pi'])
  })

  it('refuses what is no cursor, and one of another query, but for its limit', async () => {
    await using world = await given(many)
    const { next = '' } = await world.page({ limit: 3, search: 't' })
    expect(next).toMatch(/^[\w-]+$/)
    expect(await ids(world, { limit: 4, search: 'T ', after: next })).toHaveLength(4)
    const others: readonly SessionQuery[] = [
      {},
      { search: 't1' },
      { search: 't', sort: 'name' },
      { search: 't', agent: 'pi' },
      { search: 't', cwd: '/work' },
    ]
    for (const query of others) await expect(world.page({ ...query, after: next })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    const texts = ['', 'x', '!', 'null', Buffer.from('[1]').toString('base64url'), `${next}x`.slice(5), 7 as unknown as string]
    for (const after of texts) await expect(world.page({ search: 't', after })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })
}
