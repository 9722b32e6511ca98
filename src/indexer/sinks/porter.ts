/** The stem of an English word by Porter's algorithm of 1980, step by step as SQLite's FTS5 does it. */

/** Takes small letters. What is shorter than three letters, or longer than any word, stays as it is. */
export function stemOf(word: string): string {
  if (word.length < 3 || word.length > LONGEST) return word
  return step5(replaced(replaced(replaced(step1(word), STEP_2, 0), STEP_3, 0), STEP_4, 1))
}

/** In letters; FTS5 counts bytes. */
const LONGEST = 62

type Rule = readonly [ending: string, replacement: string]

const STEP_2: readonly Rule[] = [
  ['ational', 'ate'],
  ['tional', 'tion'],
  ['enci', 'ence'],
  ['anci', 'ance'],
  ['izer', 'ize'],
  ['logi', 'log'],
  ['bli', 'ble'],
  ['alli', 'al'],
  ['entli', 'ent'],
  ['eli', 'e'],
  ['ousli', 'ous'],
  ['ization', 'ize'],
  ['ation', 'ate'],
  ['ator', 'ate'],
  ['alism', 'al'],
  ['iveness', 'ive'],
  ['fulness', 'ful'],
  ['ousness', 'ous'],
  ['aliti', 'al'],
  ['iviti', 'ive'],
  ['biliti', 'ble'],
]

const STEP_3: readonly Rule[] = [
  ['icate', 'ic'],
  ['ative', ''],
  ['alize', 'al'],
  ['iciti', 'ic'],
  ['ical', 'ic'],
  ['ful', ''],
  ['ness', ''],
]

const STEP_4: readonly Rule[] = [
  'al',
  'ance',
  'ence',
  'er',
  'ic',
  'able',
  'ible',
  'ant',
  'ement',
  'ment',
  'ent',
  'ion',
  'ou',
  'ism',
  'ate',
  'iti',
  'ous',
  'ive',
  'ize',
].map((ending) => [ending, ''])

/** Plurals and the endings of verbs. */
function step1(word: string): string {
  const singular = /.(?:sses|ies)$/.test(word) ? word.slice(0, -2) : /[^s]s$/.test(word) ? word.slice(0, -1) : word
  const base = withoutVerbEnding(singular)
  return base.endsWith('y') && hasVowel(base.slice(0, -1)) ? `${base.slice(0, -1)}i` : base
}

function withoutVerbEnding(word: string): string {
  if (word.endsWith('eed')) return measure(word.slice(0, -3)) > 0 ? word.slice(0, -1) : word
  const ending = ['ed', 'ing'].find((one) => word.endsWith(one))
  if (ending === undefined) return word
  const stem = word.slice(0, -ending.length)
  if (!hasVowel(stem)) return word
  if (/(?:at|bl|iz)$/.test(stem)) return `${stem}e`
  if (endsInDouble(stem) && !/[lsz]$/.test(stem)) return stem.slice(0, -1)
  return measure(stem) === 1 && endsInShort(stem) ? `${stem}e` : stem
}

/** The first rule whose ending fits decides, whether its condition holds or not. */
function replaced(word: string, rules: readonly Rule[], above: number): string {
  const longest = rules.filter(([ending]) => word.endsWith(ending)).sort(([a], [b]) => b.length - a.length)[0]
  if (longest === undefined) return word
  const [ending, replacement] = longest
  const stem = word.slice(0, -ending.length)
  if (measure(stem) <= above || (ending === 'ion' && !/[st]$/.test(stem))) return word
  return stem + replacement
}

function step5(word: string): string {
  const stem = word.slice(0, -1)
  const dropsE = word.endsWith('e') && (measure(stem) > 1 || (measure(stem) === 1 && !endsInShort(stem)))
  const base = dropsE ? stem : word
  return base.endsWith('ll') && measure(base) > 1 ? base.slice(0, -1) : base
}

/** How often a run of vowels is followed by one of consonants. */
function measure(stem: string): number {
  return shapeOf(stem).match(/v+c+/g)?.length ?? 0
}

function hasVowel(stem: string): boolean {
  return shapeOf(stem).includes('v')
}

function endsInDouble(stem: string): boolean {
  return stem.length > 1 && stem.at(-1) === stem.at(-2) && shapeOf(stem).endsWith('c')
}

/** Consonant, vowel, consonant, the last not w, x or y. */
function endsInShort(stem: string): boolean {
  return shapeOf(stem).endsWith('cvc') && !/[wxy]$/.test(stem)
}

/** `c` for consonants and `v` for vowels; a y after a consonant is a vowel. */
function shapeOf(stem: string): string {
  let shape = ''
  for (const letter of stem) {
    const isVowel = 'aeiou'.includes(letter) || (letter === 'y' && shape.endsWith('c'))
    shape += isVowel ? 'v' : 'c'
  }
  return shape
}
