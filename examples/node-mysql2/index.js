// Two functions with mysql2: `direct` connects in every invocation, `cached` keeps its connection.
const { setTimeout: sleep } = require("node:timers/promises");
const mysql = require("mysql2/promise");

const CONFIG = {
  host: process.env.MYSQL_HOST,
  port: Number(process.env.MYSQL_PORT || 3306),
  user: process.env.MYSQL_USER,
  password: process.env.MYSQL_PASSWORD,
  database: process.env.MYSQL_DATABASE,
  // A test server signs its own certificate. With RDS write ssl: "Amazon RDS", which checks the server's.
  ssl: process.env.MYSQL_TLS === "off" ? undefined : { rejectUnauthorized: false },
};
const WORK_MS = Number(process.env.WORK_MS || 20);
const KILLED = 1927; // MariaDB's ER_CONNECTION_KILLED
const IDLE_TOO_LONG = 4031; // MySQL's ER_CLIENT_INTERACTION_TIMEOUT
let connection;

async function query(on, group) {
  const [rows] = await on.query("SELECT id, payload FROM loadtest_rows WHERE group_id = ?", [group]);
  return rows;
}

async function connect() {
  const made = await mysql.createConnection(CONFIG);
  // Without a listener the loss of an idle connection ends the process.
  made.on("error", () => {
    if (connection === made) connection = undefined;
  });
  return made;
}

function isLost(error) {
  return error.fatal || error.errno === KILLED || error.errno === IDLE_TOO_LONG;
}

exports.direct = async (event) => {
  const own = await mysql.createConnection(CONFIG);
  try {
    const rows = await query(own, event.group);
    await sleep(WORK_MS);
    return rows.length;
  } finally {
    await own.end();
  }
};

exports.cached = async (event) => {
  connection ??= await connect();
  let rows;
  try {
    rows = await query(connection, event.group);
  } catch (error) {
    if (!isLost(error)) throw error; // else it was lost while the function was frozen
    connection?.destroy();
    connection = undefined; // in case that the server is full
    connection = await connect();
    rows = await query(connection, event.group);
  }
  await sleep(WORK_MS);
  return rows.length;
};
