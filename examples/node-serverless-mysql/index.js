// The published module itself: https://github.com/jeremydaly/serverless-mysql
const mysql = require("serverless-mysql")({
  library: require("mysql2"),
  config: {
    host: process.env.MYSQL_HOST,
    port: Number(process.env.MYSQL_PORT || 3306),
    user: process.env.MYSQL_USER,
    password: process.env.MYSQL_PASSWORD,
    database: process.env.MYSQL_DATABASE,
    // A test server signs its own certificate. With RDS write ssl: "Amazon RDS", which checks the server's.
    ssl: process.env.MYSQL_TLS === "off" ? undefined : { rejectUnauthorized: false },
  },
});
const WORK_MS = Number(process.env.WORK_MS || 20);

exports.handler = async (event) => {
  const rows = await mysql.query("SELECT id, payload FROM loadtest_rows WHERE group_id = ?", [event.group]);
  await new Promise((done) => setTimeout(done, WORK_MS));
  await mysql.end();
  return rows.length;
};
