import { describe, expect, it } from 'vitest'
import { stemOf } from '../../../src/indexer/sinks/porter.js'
import { openSqlite } from '../../../src/storage/sqlite/driver.js'

const STEMS = `caresses flies dies mules denied agreed owned humbled sized meeting stating siezing itemization sensational traditional reference
  colonizer plotted happy sky relational conditional rational valency hesitancy digitizer conformably radically differently vilely analogously
  vietnamization predication operator feudalism decisiveness hopefulness callousness formality sensitivity sensibility triplicate formative
  formalize electricity electrical hopeful goodness revival allowance inference airliner gyroscopic adjustable defensible irritant replacement
  adjustment dependent adoption homologou communism activate angularity homologous effective bowdlerize probate rate cease controll roll
  retry retries retried retrying lease leases leased leasing expire expires expired expiration index indexes indices indexing indexed query queries
  settle settled settling tombstone tombstones possibility possible ability able ties tie hoping hope filing file fill filled filling
  archaeology ecological apologies classes class bus buses gas gases was is as ss ies sses ed ing sing red bed feed freed need needed succeed
  yes say says saying played toy boys by bye dying lying eyes oeuvre aa iou y yy syzygy rhythm crying fly flying sss press presses pressed
  falling hissing fizzed failing matting mating meetings disabled troubled tanned parsing parser parsers parse token tokens tokenize tokenizer
  authentication authorize authorization configuration configure configured deterministic determinism analyses analysis matrices vertices`

describe('stems', () => {
  it('are those of FTS5', async () => {
    const words = STEMS.trim().split(/\s+/)
    using database = await openSqlite(':memory:', { readOnly: false })
    database.exec("CREATE VIRTUAL TABLE t USING fts5 (x, tokenize = 'porter unicode61'); CREATE VIRTUAL TABLE v USING fts5vocab (t, instance)")
    for (const [i, word] of words.entries()) database.prepare('INSERT INTO t (rowid, x) VALUES (?, ?)').run(i, word)
    const expected = database.prepare('SELECT term FROM v ORDER BY doc').all()
    expect(words.map((word) => [word, stemOf(word)])).toEqual(words.map((word, i) => [word, expected[i]?.[0]]))
  })
})
