/** Settings: what the environment, the config file and the flags say, and what is refused by name. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import { configFromEnv, configFromFlags, configPath, readConfigFile, resolveConfig } from '../../src/indexer/config/config.js'
import { type Setting, type SettingName, settings } from '../../src/indexer/config/config-settings.js'
import { REPOSITORY } from '../support/real-sets.js'
import { tempFolder } from '../support/temp.js'

const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())

function refusal(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(StorageError)
    expect(error).toMatchObject({ code: 'INVALID_OPTION' })
    return (error as StorageError).reason
  }
  throw new Error('nothing was refused')
}

/** The variables that issue 4 names, with the defaults of the draft. */
const ISSUE: Readonly<Record<string, unknown>> = {
  OLLAMA_API_BASE: 'http://localhost:11434',
  OLLAMA_EMBED_MODEL: 'qwen3-embedding:8b',
  OLLAMA_EMBED_NUM_CTX: 32768,
  OLLAMA_EMBED_TRUNCATE: false,
  CHROMA_URL: 'http://localhost:8000',
  CHROMA_COLLECTION_SESSIONS: 'opencode_sessions',
  CHROMA_TENANT: 'default_tenant',
  CHROMA_DATABASE: 'default_database',
  CHROMA_TOKEN: undefined,
  INDEX_POLL_MS: 2000,
  INDEX_SESSION_LIST_REFRESH_MS: 3000,
  INDEX_REFRESH_SCAN_LIMIT: 200,
  INDEX_BATCH_SIZE: 32,
  INDEX_MAX_SESSIONS_PER_TICK: 10,
  INDEX_MAX_NEW_MESSAGES_PER_SESSION: 200,
  INDEX_SLOW_SCAN_INTERVAL_MS: 120_000,
  INDEX_SLOW_SCAN_BATCH: 3,
  INDEX_LEASE_MS: 300_000,
  INDEX_INFLIGHT_SWEEP_LIMIT: 200,
  INDEX_BACKOFF_BASE_MS: 2000,
  INDEX_BACKOFF_MAX_MS: 120_000,
  INDEX_WAL_ENABLED: true,
  INDEX_WAL_RECOVER_LIMIT: 25,
  SPANLEAF_AUTO_INDEX: false,
  SPANLEAF_EMBEDDER: 'hash',
  SPANLEAF_SINK: 'local',
}

/** A value that is no default. */
function other(setting: Setting): string {
  if (setting.type === 'word') return setting.words.at(-1) ?? ''
  if (setting.type === 'flag') return String(!setting.default)
  if (setting.type === 'number') return String(setting.max)
  return setting.format.endsWith('address') ? 'https://example.test:99' : 'another-one'
}

describe('configFromEnv', () => {
  it('knows every variable of the issue, with the defaults of the draft', () => {
    const defaults = Object.fromEntries(settings().map(([, { variable, default: value }]) => [variable, value]))
    expect(defaults).toMatchObject(ISSUE)
    expect(Object.keys(defaults)).toEqual(expect.arrayContaining(Object.keys(ISSUE)))
  })

  it('takes nothing from an empty environment, so that an unset variable selects no service', () => {
    expect(configFromEnv({ HOME: '/home/me', CHROMA: 'x' })).toEqual({})
    const { values, origins } = resolveConfig({ env: configFromEnv({}) })
    expect([values.embedder, values.sink, origins.embedder, origins.sink]).toEqual(['hash', 'local', 'default', 'default'])
    // Addresses and names of services alone select none either.
    expect(resolveConfig({ env: configFromEnv({ CHROMA_URL: 'http://a:1', OLLAMA_EMBED_MODEL: 'm' }) }).values).toMatchObject({
      embedder: 'hash',
      sink: 'local',
    })
  })

  it.each(settings().map(([name, setting]) => [setting.variable, name, setting] as const))(
    '%s is read, and checked by name',
    (variable, name, setting) => {
      const { [name]: value, ...rest } = configFromEnv({ [variable]: other(setting) })
      expect(rest).toEqual({})
      expect(String(value)).toBe(other(setting))
      expect(typeof value).toBe(setting.type === 'flag' ? 'boolean' : setting.type === 'number' ? 'number' : 'string')
      expect(refusal(() => configFromEnv({ [variable]: '' }))).toContain(variable)
      for (const bad of BAD[setting.type])
        expect(
          refusal(() => configFromEnv({ [variable]: bad })),
          bad,
        ).toContain(variable)
      if (setting.type !== 'number') return
      for (const bad of [setting.max + 1, setting.min - 1]) expect(refusal(() => configFromEnv({ [variable]: String(bad) }))).toContain(variable)
      expect(configFromEnv({ [variable]: String(setting.min) })[name]).toBe(setting.min)
    },
  )

  const BAD: Readonly<Record<Setting['type'], readonly string[]>> = {
    word: ['Ollama', 'x', ' '],
    flag: ['maybe', '2', ' '],
    number: ['-1', 'NaN', 'Infinity', '1.5', '1e3', '0x10', ' ', ' 5', '9'.repeat(400)],
    text: ['a b', '\n', ' ', 'x'.repeat(5000)],
  }

  it('reads flags as people write them', () => {
    for (const text of ['1', 'true', 'TRUE', 'yes', 'Y', 'on']) expect(configFromEnv({ INDEX_WAL_ENABLED: text })).toEqual({ walEnabled: true })
    for (const text of ['0', 'false', 'No', 'n', 'off']) expect(configFromEnv({ INDEX_WAL_ENABLED: text })).toEqual({ walEnabled: false })
  })

  it('takes the address of Ollama with or without /api', () => {
    for (const text of ['http://gpu:11434', 'http://gpu:11434/', 'http://gpu:11434/api', 'http://gpu:11434/api/'])
      expect(configFromEnv({ OLLAMA_API_BASE: text })).toEqual({ ollamaUrl: 'http://gpu:11434' })
    expect(configFromEnv({ OLLAMA_API_BASE: 'https://host/ollama/api' })).toEqual({ ollamaUrl: 'https://host/ollama' })
    for (const bad of ['localhost:11434', 'ftp://host', 'http://', 'http://host/?a=b', 'http://host/#x'])
      expect(
        refusal(() => configFromEnv({ OLLAMA_API_BASE: bad })),
        bad,
      ).toMatch(/OLLAMA_API_BASE must be an address such as/)
  })

  it('repeats no secret', () => {
    expect(refusal(() => configFromEnv({ CHROMA_TOKEN: 'my secret' }))).not.toContain('secret')
    for (const address of [
      'http://me:hunter2@host',
      'http://me:x/hunter2@host',
      'http://me:x@hunter2@host',
      'me:hunter2@host:8000',
      'http://host/?token=hunter2',
      'http://host/#hunter2',
      'http://me:hunter2',
    ]) {
      expect(
        refusal(() => configFromEnv({ CHROMA_URL: address })),
        address,
      ).not.toContain('hunter2')
      expect(
        refusal(() => configFromEnv({ OLLAMA_API_BASE: address })),
        address,
      ).not.toContain('hunter2')
    }
  })

  it('checks the name of a collection by the rules of Chroma', () => {
    for (const name of ['abc', 'a.b-c_d', 'x'.repeat(502)])
      expect(configFromEnv({ CHROMA_COLLECTION_SESSIONS: name })).toEqual({ chromaCollection: name })
    for (const name of ['ab', '_ab', 'ab_', 'a..b', 'a b', 'a/b', 'ä12', '10.0.0.1', 'x'.repeat(503)])
      expect(
        refusal(() => configFromEnv({ CHROMA_COLLECTION_SESSIONS: name })),
        name,
      ).toContain('CHROMA_COLLECTION_SESSIONS')
  })
})

describe('the config file', () => {
  const write = (name: string, text: string, mode = 0o600): string => {
    const home = join(folder.path, name)
    mkdirSync(home)
    writeFileSync(configPath(home), text, { mode })
    chmodSync(configPath(home), mode)
    return home
  }

  it('is optional', () => {
    expect(readConfigFile(join(folder.path, 'nowhere'))).toEqual({ config: {}, warning: undefined })
  })

  it('has a key for each setting', () => {
    const value = (setting: Setting): unknown => (setting.type === 'flag' || setting.type === 'number' ? JSON.parse(other(setting)) : other(setting))
    const all = Object.fromEntries(settings().map(([name, setting]) => [name, value(setting)]))
    expect(readConfigFile(write('all', JSON.stringify(all))).config).toEqual(all)
  })

  it('is refused with its path and the key that is wrong', () => {
    const bad: readonly (readonly [string, RegExp])[] = [
      ['{"embeder": "ollama"}', /no setting "embeder"/],
      ['{"pollMs": "2000"}', /pollMs must be a whole number/],
      ['{"pollMs": null}', /pollMs/],
      ['{"redact": "yes"}', /redact must be true or false/],
      ['{"embedder": true}', /embedder must be hash or ollama/],
      ['{"__proto__": {"embedder": "ollama"}}', /no setting "__proto__"/],
      ['{"chromaToken": "secret', /is no JSON object/],
      ['[]', /is no JSON object/],
    ]
    for (const [at, [text, expected]] of bad.entries()) {
      const home = write(`bad-${at}`, text)
      expect(refusal(() => readConfigFile(home))).toMatch(expected)
      expect(() => readConfigFile(home)).toThrow(configPath(home))
      expect(() => readConfigFile(home)).not.toThrow(/secret/)
    }
  })

  it.skipIf(process.platform === 'win32')('warns when others may read the token in it', () => {
    const token = '{"chromaToken": "abc"}'
    expect(readConfigFile(write('open', token, 0o644)).warning).toMatch(/chmod 600/)
    expect(readConfigFile(write('closed', token)).warning).toBeUndefined()
    expect(readConfigFile(write('without', '{"sink": "chroma"}', 0o644)).warning).toBeUndefined()
  })
})

describe('precedence', () => {
  it('is flag, environment, file, default, and says which', () => {
    const flags = configFromFlags({ embedder: 'hash' })
    const env = configFromEnv({ SPANLEAF_EMBEDDER: 'ollama', SPANLEAF_SINK: 'chroma' })
    const { values, origins } = resolveConfig({ flags, env, file: { sink: 'local', embedder: 'ollama', batchSize: 5 } })
    expect([values.embedder, values.sink, values.batchSize, values.pollMs]).toEqual(['hash', 'chroma', 5, 2000])
    expect([origins.embedder, origins.sink, origins.batchSize, origins.pollMs]).toEqual(['flag', 'environment', 'file', 'default'])
    expect(Object.keys(values)).toEqual(settings().map(([name]) => name))
  })

  it('a falsy value counts', () => {
    expect(resolveConfig({ env: { redact: false, slowScanBatch: 0 }, file: { redact: true, slowScanBatch: 9 } }).values).toMatchObject({
      redact: false,
      slowScanBatch: 0,
    })
  })

  it('checks what programs give it as the file is checked', () => {
    const resolve = resolveConfig as (chosen: unknown) => unknown
    expect(refusal(() => resolve({ environment: { embedder: 'ollama' } }))).toBe('there is no option "environment"')
    for (const from of ['flags', 'env', 'file']) {
      expect(refusal(() => resolve({ [from]: { embeder: 'ollama' } }))).toBe('there is no setting "embeder"')
      expect(refusal(() => resolve({ [from]: { embedder: 'Hash' } }))).toBe('embedder must be hash or ollama, not "Hash"')
      expect(refusal(() => resolve({ [from]: { pollMs: Number.NaN } }))).toMatch(/^pollMs must be a whole number .* not NaN$/)
      for (const given of [null, 3, []]) expect(refusal(() => resolve({ [from]: given }))).toContain(`${from} must be an object`)
    }
    for (const given of [null, undefined, 3]) expect(refusal(() => resolve(given))).toContain('must be an object')
    expect(resolveConfig({ env: { ollamaUrl: 'http://gpu:11434/api/' } }).values.ollamaUrl).toBe('http://gpu:11434')
  })

  it('refuses values that do not go together, and flags by their name', () => {
    expect(refusal(() => resolveConfig({ env: { backoffBaseMs: 5000, backoffMaxMs: 1000 } }))).toMatch(/INDEX_BACKOFF_BASE_MS/)
    expect(refusal(() => configFromFlags({ embedder: 'openai' }))).toMatch(/^--embedder must be hash or ollama/)
    expect(configFromFlags({ redact: false })).toEqual({ redact: false })
    expect(refusal(() => configFromFlags({ embeder: 'ollama' } as object))).toBe('there is no setting "embeder"')
    expect(refusal(() => configFromFlags(null as never))).toContain('must be an object')
    expect(refusal(() => configFromEnv(undefined as never))).toContain('must be an object')
  })
})

describe('docs/configuration.md', () => {
  it('has what the table has (node docs/generate-configuration.mjs)', async () => {
    const generator = join(REPOSITORY, 'docs', 'generate-configuration.mjs')
    const { configurationPage } = (await import(generator)) as { configurationPage(rows: readonly (readonly [SettingName, Setting])[]): string }
    const page = configurationPage(settings())
    for (const [name, { variable }] of settings()) expect(page).toContain(`| \`${variable}\` | \`${name}\` |`)
    expect(readFileSync(join(REPOSITORY, 'docs', 'configuration.md'), 'utf8')).toBe(page)
  })
})
