/** verify: what its sentences tell to do works, and what it cannot read is told to programs, too. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { describe, expect, it } from 'vitest'
import { jsonLines, REPOSITORY, runCli } from '../support/cli.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { tamper } from '../support/databases.js'
import { everyEra } from '../support/every-era.js'
import { sqliteFixture } from '../support/store-fixtures.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 2))

describe('verify', () => {
  it('tells how to read what only a hidden copy has, where several stores are of its kind', () => {
    using shown = sqliteFixture('1.18')([{ ...SESSION, messages: SESSION.messages.slice(1) }])
    using hidden = sqliteFixture('1.18')([SESSION])
    tamper(hidden.path, (database) => database.exec(`VACUUM INTO '${join(shown.path, '..', 'opencode-dev.db')}'`))
    const data = ['--data', join(shown.path, '..')]
    const { stdout } = runCli(['verify', ...data])
    const [, advice = ''] = /1 message and \d+ parts of them only here: read them with (.+)$/m.exec(stdout) ?? []
    expect(advice).toMatch(/^--store \S+opencode-dev\.db$/)
    const { messages } = jsonLines(runCli(['show', SESSION.id, '--json', ...data, ...advice.split(' ')]))[0] as { messages: object[] }
    expect(messages).toHaveLength(SESSION.messages.length)
  })

  it('takes the database of another program for no damage, and names it', () => {
    using era = everyEra()
    const { status, stderr } = runCli(['verify', '--data', era.data])
    expect(stderr).toContain(era.stranger)
    expect(status).toBe(0)
    const json = runCli(['verify', '--json', '--data', era.data])
    const found = jsonLines(json)
    expect(found).toMatchObject([{ issues: [{ code: 'STORE_UNSUPPORTED', path: era.stranger, transient: false }], total: { damaged: 0 } }])
    expect(json.status).toBe(0)
    const validate = new Ajv({ allowUnionTypes: true }).compile(
      JSON.parse(readFileSync(`${REPOSITORY}docs/schemas/verify.schema.json`, 'utf8')) as object,
    )
    expect(validate(found[0]), JSON.stringify(validate.errors)).toBe(true)
  })
})
