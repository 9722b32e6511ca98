/** The package as its users meet it: what loads when, what is exported, and that importing does nothing. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import * as library from '../../src/index.js'
import { agentHome } from '../support/agent-homes.js'
import { REPOSITORY } from '../support/real-sets.js'
import { codeOf, importsOf } from '../support/source.js'
import { tempFolder } from '../support/temp.js'

const DIST = join(REPOSITORY, 'dist')
/** They run when they are imported. */
const PROGRAMS = [join('cli', 'main.js'), join('bundle', 'spanleaf.js')]
const DEMO = join(REPOSITORY, 'examples', 'demo-store', 'opencode')
const HEAVY = ['lmdb', 'chromadb', 'ollama', '@secretlint', 'better-sqlite3', 'node:sqlite', 'mmap-io', 'commander', 'ora']
const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())

/** Runs a script and gives every module it asked for, from inside the packages too. */
function modulesAskedFor(script: string): string[] {
  const log = join(folder.path, 'modules.txt')
  writeFileSync(log, '')
  writeFileSync(
    join(folder.path, 'hooks.mjs'),
    "import { appendFileSync } from 'node:fs'\nexport const resolve = (name, context, next) => (appendFileSync(process.env.MODULES, name + '\\n'), next(name, context))",
  )
  writeFileSync(
    join(folder.path, 'watch.cjs'),
    `const { appendFileSync } = require('node:fs'); const Module = require('node:module')
    const say = (name) => appendFileSync(process.env.MODULES, name + '\\n')
    const load = Module._load; Module._load = (name, ...rest) => (say(name), load(name, ...rest))
    const builtin = process.getBuiltinModule; process.getBuiltinModule = (name) => (say(name), builtin(name))
    Module.register(${JSON.stringify(`file://${join(folder.path, 'hooks.mjs')}`)})`,
  )
  const child = spawnSync(process.execPath, ['--require', join(folder.path, 'watch.cjs'), '--input-type=module', '-e', script], {
    encoding: 'utf8',
    cwd: REPOSITORY,
    env: { ...process.env, MODULES: log, NODE_OPTIONS: '' },
  })
  expect([child.stderr, child.status]).toEqual(['', 0])
  return readFileSync(log, 'utf8')
    .split('\n')
    .filter((name) => name !== '')
}

/** Files of the bundle that few processes need, and that are loaded by those. */
const LATE = ['catalog', 'json-validator', 'ledger', 'open-logs', 'opencode-database', 'opencode-files', 'parcel', 'search', 'worker-stores']

/** What was loaded of the bundle beside its entries. */
function chunksIn(names: readonly string[]): readonly string[] {
  const chunks = names.flatMap((name) => /^(?:\.\/)?([\w-]+)-[\w-]{8}\.js$/.exec(name)?.[1] ?? [])
  return [...new Set(chunks)].sort()
}

const isHeavy = (names: readonly string[]): string[] => HEAVY.filter((heavy) => names.some((name) => name === heavy || name.startsWith(`${heavy}/`)))

describe('what loads', () => {
  it('on import is nothing but the library and node itself', () => {
    const names = modulesAskedFor("await import('spanleaf')")
    expect(names).toContain('spanleaf')
    expect(isHeavy(names)).toEqual([])
    expect(names.filter((name) => !/^(spanleaf$|\.{1,2}\/|node:|file:)/.test(name))).toEqual([])
    expect(names.filter((name) => name.includes('child_process'))).toEqual([])
    // In few files, since each costs as long as to compile 15 KB; what few processes need is loaded by those.
    expect(chunksIn(names)).toEqual(['storage', 'tree'])
    expect(chunksIn(readdirSync(join(DIST, 'bundle')))).toEqual(expect.arrayContaining(LATE))
  })

  it('for a store is what reads its kind: for a JSON tree no SQLite, for a database no index, for logs nothing of OpenCode', () => {
    const read = (data: string): string => `const { openSessions, runSessionFlow } = await import('spanleaf')
      const sessions = await openSessions({ data: ${JSON.stringify(data)} })
      for await (const result of runSessionFlow(sessions, { all: true })) if (result.status === 'failed') throw result.error
      await sessions.close()`
    const forTree = modulesAskedFor(read(join(DEMO, 'storage')))
    expect([isHeavy(forTree), chunksIn(forTree)]).toEqual([[], ['opencode-files', 'storage', 'tree']])
    const forDatabase = modulesAskedFor(read(join(DEMO, 'opencode.db')))
    expect(chunksIn(forDatabase)).toEqual(['opencode-database', 'storage', 'tree'])
    const drivers = isHeavy(forDatabase)
    expect(drivers.filter((name) => name !== 'better-sqlite3' && name !== 'node:sqlite')).toEqual([])
    expect(drivers.length).toBeGreaterThan(0)
    using home = agentHome()
    const forLogs = modulesAskedFor(read(join(home.path, '.claude')))
    expect([isHeavy(forLogs), chunksIn(forLogs)]).toEqual([[], ['open-logs', 'storage', 'tree']])
  })

  it('for the index that asks no service is no client of one, and nothing that takes secrets out', () => {
    expect(isHeavy(modulesAskedFor("await import('spanleaf/indexer')"))).toEqual([])
    const index = `const { openSessions } = await import('spanleaf')
      const { createIndexer, openIndexHome, openIndexReader, searchIndex } = await import('spanleaf/indexer')
      const sessions = await openSessions({ data: ${JSON.stringify(join(DEMO, 'storage'))} })
      const home = await openIndexHome({ home: ${JSON.stringify(join(folder.path, 'defaults'))}, sessions })
      const indexer = createIndexer({ ...home, sessions })
      await indexer.observe()
      await indexer.drain()
      await indexer.stop()
      await home.close()
      const reader = await openIndexReader({ home: ${JSON.stringify(join(folder.path, 'defaults'))} })
      if ((await searchIndex(reader, 'retry')).length === 0) throw new Error('nothing was found')
      await reader[Symbol.asyncDispose]()
      await sessions.close()`
    const names = isHeavy(modulesAskedFor(index))
    expect(names).toContain('lmdb')
    expect(names.filter((name) => ['chromadb', 'ollama', '@secretlint'].includes(name))).toEqual([])
  })

  it('for a sink on Chroma is its client, which is said to be missing where it is', () => {
    const script = `import { register } from 'node:module'
      const hook = \`export const resolve = (name, context, next) => {
        if (name === 'chromadb') throw Object.assign(new Error('no such package'), { code: 'ERR_MODULE_NOT_FOUND' })
        return next(name, context)
      }\`
      register('data:text/javascript,' + encodeURIComponent(hook))
      const { openChromaSink } = await import('spanleaf/indexer')
      const opened = openChromaSink({ url: 'http://127.0.0.1:9', collection: 'abc', space: 'x/1' })
      console.log(await opened.then(() => 'opened', (error) => error.code))`
    expect(execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: REPOSITORY, encoding: 'utf8' }).trim()).toBe(
      'CHROMA_CLIENT_MISSING',
    )
  })

  it('would be seen if it were more', () => {
    expect(isHeavy(modulesAskedFor("await import('lmdb')"))).toEqual(['lmdb'])
    expect(isHeavy(modulesAskedFor("(await import('node:module')).createRequire(process.cwd() + '/x.js')('better-sqlite3')"))).toEqual([
      'better-sqlite3',
    ])
  })
})

describe('importing', () => {
  it('any module writes nothing, prints nothing, listens to nothing and ends at once (law 9)', () => {
    const home = join(folder.path, 'home')
    mkdirSync(home)
    const modules = readdirSync(DIST, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js') && !PROGRAMS.includes(name))
    expect(modules.length).toBeGreaterThan(40)
    const script = `const before = { env: JSON.stringify(process.env), cwd: process.cwd(), events: process.eventNames().length }
      for (const name of ${JSON.stringify(modules)}) await import(${JSON.stringify(`file://${DIST}/`)} + name)
      const after = { env: JSON.stringify(process.env), cwd: process.cwd(), events: process.eventNames().length }
      if (JSON.stringify(before) !== JSON.stringify(after)) throw new Error('the process changed')
      const busy = process.getActiveResourcesInfo().filter((name) => !/(Req|TTYWrap|PipeWrap)$/.test(name))
      if (busy.length > 0) throw new Error(busy.join())`
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      cwd: home,
      timeout: 20_000,
      env: { PATH: process.env.PATH, HOME: home, TMPDIR: home, XDG_STATE_HOME: home, XDG_DATA_HOME: home },
    })
    expect([child.stdout, child.stderr, child.status]).toEqual(['', '', 0])
    expect(readdirSync(home)).toEqual([])
  })
})

describe('the exports', () => {
  const manifest = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8'))

  it('are the library, the indexer and the manifest, each with its types', () => {
    expect(Object.keys(manifest.exports)).toEqual(['.', './indexer', './package.json'])
    for (const entry of [manifest.exports['.'], manifest.exports['./indexer']]) {
      for (const path of [entry.types, entry.default]) expect(existsSync(join(REPOSITORY, path))).toBe(true)
    }
    expect([manifest.type, manifest.sideEffects, existsSync(join(REPOSITORY, manifest.bin.spanleaf))]).toEqual(['module', false, true])
  })

  it('have types that ask for no package but those of Node, as many are not there and lmdb has flaws of its own', () => {
    const seen = new Set<string>()
    const packages: string[] = []
    const follow = (path: string): void => {
      if (seen.has(path)) return
      seen.add(path)
      for (const { target } of importsOf({ path, text: readFileSync(join(DIST, path), 'utf8') })) {
        if (target.endsWith('.ts')) follow(target.replace(/\.ts$/, '.d.ts'))
        else if (!target.startsWith('node:')) packages.push(`${path}: ${target}`)
      }
    }
    for (const entry of ['index.d.ts', 'indexer/index.d.ts']) follow(entry)
    expect(seen.size).toBeGreaterThan(40)
    expect(packages).toEqual([])
  })

  it('resolve by name, and nothing else does', () => {
    const resolved = (name: string): string =>
      execFileSync(
        process.execPath,
        ['--input-type=module', '-e', `console.log(await import('${name}').then((m) => Object.keys(m).length > 0, (e) => e.code))`],
        { cwd: REPOSITORY, encoding: 'utf8' },
      ).trim()
    expect([resolved('spanleaf'), resolved('spanleaf/indexer')]).toEqual(['true', 'true'])
    expect(resolved('spanleaf/dist/storage/slab.js')).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED')
  })

  it('of the library are these', () => {
    expect(Object.keys(library).sort().join(' ')).toMatchInlineSnapshot(
      `"AGENTS MappedSpan MemoryStore SlabSpan SpanCache StorageError activePath childLinks childRange compareCopies createDirtyTracker createGenerationClock createSessionSet cursorAfter decodeKey describeStores encodeKey errorTable findChildLinks findSessionsContaining folderName followSession grepSessions hydrateSessionTree idTime isCursor isInsideStore isSafeId isWithinFolder issuesOf listMessages listSessions loadDiffs loadMessageWithParts loadMessages loadParts loadSession loadSessionTree loadTodos messageKey openSessions opencodeDataDir pageSessions parseMessageId parsePartId parseProjectId parseSessionId parseSpan partKey planReads planSessionTree readDiffSpan readMessageSpan readPartSpan readSessionSpan readSpan readTodoSpan resolveSessionTree runSessionFlow runSessionTreeFlow sessionKey spanleafHome storeEras systemClock unwrap verifyStores watchSessions"`,
    )
  })

  it('of types are these', () => {
    expect(typeNames(readFileSync(join(REPOSITORY, 'src', 'index.ts'), 'utf8')).join(' ')).toMatchInlineSnapshot(
      `"Agent AgentPart AssistantMessage CensusEntry CensusKind CensusOptions CensusRecord ChangeKind ChildLink Clock CompactionPart CopyComparison Cursor DamagedRecord DirtyTracker Document EntityKey Environment ErrorCode ErrorRow FileDiff FilePart FlowEnd FlowOptions FlowResult FlowScope FollowOptions FollowUpdate FormatName Generation GenerationClock GrepHit GrepKind GrepOptions GrepProgress IndexStats KnownPart KnownSession Leaf LeafKind LedgerTotal ListOptions ListedBefore Listing LoadedSession LogCursor LogPosition LogTail LogTrait MapOption MemoryPlace MergedSession Message MessageEntry MessageId MessageKey MessageListing MessageMeta MessageNode MessageRefNode MessageWithParts NativeMessage OddFields OpenOptions Opener OpenerAlong OrphanCounts OrphanRecord OtherCopies Part PartEntry PartId PartKey PartKind PartLeaf PartRef PartRefNode PatchPart PlacedMessages PlannedMessage Price ProjectId ProjectRecord Read ReadLimit ReadOptions ReasoningPart RecordDamage RecordFlaw RecordPlace RefreshOptions RefreshReport RetryPart SessionChange SessionChanges SessionCopy SessionEntry SessionHydratedTree SessionId SessionIndex SessionKey SessionMeta SessionOrigin SessionPage SessionQuery SessionRecord SessionRef SessionRefNode SessionRefTree SessionSetOptions SessionSort SessionTime SessionTree SessionTreePlan SessionWatch Sessions SignatureCursor Slab SlabPool SnapshotPart Span SpanSource StageIssue StageName StageReport StageResult StepFinishPart StepStartPart Store StoreDescription StoreKind StoreLedger StoreSource StoreSupports StoreTotals StoreWork StoresDescription SubtaskPart TailMessage TextPart TimeSpan TodoItem Tokens ToolPart ToolState TreeRequest UnknownMessage UnknownPart Usage UserMessage Verification VerifyOptions WatchBackend WatchOptions WholeMessage"`,
    )
  })
})

/** The names that `export type { A }` and `export { type A }` give. */
function typeNames(text: string): string[] {
  const names = [...codeOf(text).matchAll(/export\s+(type\s+)?\{([^}]*)\}/g)].flatMap(([, all, list = '']) =>
    list
      .split(',')
      .map((name) => name.trim())
      .flatMap((name) => (name === '' ? [] : all !== undefined ? [name] : name.startsWith('type ') ? [name.slice(5)] : [])),
  )
  return names.sort()
}
