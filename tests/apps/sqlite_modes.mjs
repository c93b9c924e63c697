// Node's better-sqlite3 (an SQLite of its own, newer than Debian's), beside sqlite_modes.py.
//   node sqlite_modes.mjs PACKAGES modes A B             A, B: two mounts of one directory. Exit 1 at the first that is wrong
//   node sqlite_modes.mjs PACKAGES insert DATABASE ROWS  into table t; ROWS 0: until it is killed; prints each row's number
// PACKAGES is where node_modules is.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import fs from 'node:fs';

const [packages, command, ...rest] = process.argv.slice(2);
const Database = createRequire(packages + '/node_modules/')('better-sqlite3');
const open = path => new Database(path, { timeout: 20_000 });
const ok = text => console.log(`ok    better-sqlite3: ${text}`);
const whole = database => assert.equal(database.pragma('integrity_check', { simple: true }), 'ok');

function insert(path, rows) {
  const database = open(path);
  const one = database.prepare('INSERT INTO t VALUES (randomblob(300))');
  for (let number = 1; rows === 0 || number <= rows; ++number) {
    one.run();
    fs.writeSync(1, `${number}\n`);
  }
  database.close();
}

function journals(a, b) {
  for (const journal of ['delete', 'truncate', 'persist', 'wal', 'memory', 'off']) {
    const name = `/node-${journal}.db`;
    for (const [turn, node] of [a, b, a, b].entries()) {
      const database = open(node + name);
      database.unsafeMode(journal === 'off');  // which it refuses otherwise
      // In WAL mode this needs the database to itself: whoever had it before is gone.
      assert.equal(database.pragma(`journal_mode = ${journal}`, { simple: true }), journal);
      database.exec('CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, b)');
      const many = database.transaction(() => {
        for (let n = 0; n < 20; ++n) database.prepare('INSERT INTO t (b) VALUES (randomblob(1000))').run();
      });
      many.immediate();
      assert.equal(database.prepare('SELECT count(*) FROM t').pluck().get(), 20 * (turn + 1), journal);
      whole(database);
      database.close();
    }
  }
  ok('journal modes delete, truncate, persist, wal, memory, off, in turn on both nodes');
}

// Both nodes have it open all the time.
function together(a, b) {
  const [one, other] = [a, b].map(node => open(node + '/node-together.db'));
  one.exec('CREATE TABLE t (n INTEGER PRIMARY KEY, b); CREATE VIRTUAL TABLE f USING fts5 (body)');
  for (const database of [one, other]) assert.ok(database.pragma('mmap_size = 268435456', { simple: true }) > 0);
  for (let n = 0; n < 100; ++n) {
    const [writer, reader] = n % 2 ? [one, other] : [other, one];
    writer.transaction(() => {
      writer.prepare('INSERT INTO t VALUES (?, randomblob(2000))').run(n);
      writer.prepare('INSERT INTO f VALUES (?)').run(`note ${n} word${n % 5}`);
    }).immediate();
    assert.equal(reader.prepare('SELECT max(n) FROM t').pluck().get(), n);
  }
  assert.equal(other.prepare(`SELECT count(*) FROM f WHERE f MATCH 'word3'`).pluck().get(), 20);
  one.exec('VACUUM');
  whole(other);
  one.close();
  other.close();
  ok('mmap_size > 0, FTS5, VACUUM; 100 transactions in turn, each seen at once on the other node');
}

async function copies(a, b) {
  const source = open(a + '/node-together.db');
  const writer = open(b + '/node-together.db');
  const row = writer.prepare('INSERT INTO t (b) VALUES (randomblob(2000))');
  let steps = 0;
  // Between the pages of the backup the other node writes.
  await source.backup(a + '/node-copy.db', {
    progress: () => {
      if (++steps < 4) row.run();
      return steps < 4 ? 10 : 1000;
    },
  });
  source.exec(`VACUUM INTO '${a}/node-into.db'`);
  for (const name of ['/node-copy.db', '/node-into.db']) {
    const copy = open(b + name);
    whole(copy);
    assert.equal(copy.prepare('SELECT count(*) FROM t').pluck().get(), 103, name);
    copy.close();
  }
  source.close();
  writer.close();
  ok('backup() while the other node writes, VACUUM INTO');
}

function alone(a, b) {
  for (const journal of ['delete', 'wal']) {
    const name = `/node-exclusive-${journal}.db`;
    const holder = open(a + name);
    holder.pragma('locking_mode = EXCLUSIVE');
    holder.pragma(`journal_mode = ${journal}`);
    holder.exec('CREATE TABLE t (b); INSERT INTO t VALUES (1)');
    const other = new Database(b + name, { timeout: 300 });
    assert.throws(() => other.prepare('SELECT count(*) FROM t').get(), { code: 'SQLITE_BUSY' });
    holder.close();
    assert.equal(other.prepare('SELECT count(*) FROM t').pluck().get(), 1);
    other.close();
  }
  ok('locking_mode=EXCLUSIVE');
}

if (command === 'insert') insert(rest[0], Number(rest[1]));
else {
  journals(...rest);
  together(...rest);
  await copies(...rest);
  alone(...rest);
  console.log(`SQLite ${open(':memory:').prepare('SELECT sqlite_version()').pluck().get()} of better-sqlite3`);
}
