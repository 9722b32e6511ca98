/** Preloaded into every measured process: its last line of output is its peak resident set, in MB. */
process.once('exit', () => console.log(JSON.stringify({ rssMb: process.resourceUsage().maxRSS / 1024 })))
