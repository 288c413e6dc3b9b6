// serverless-mysql's own benchmark, as it was published in June 2026: SELECT SLEEP(0.02), raw and managed.
const mysql = require("mysql2/promise");
const serverless = require("serverless-mysql");

const config = {
  host: process.env.MYSQL_HOST,
  port: Number(process.env.MYSQL_PORT),
  user: process.env.MYSQL_USER,
  password: process.env.MYSQL_PASSWORD,
  database: process.env.MYSQL_DATABASE,
};
const managed = serverless({ config });

exports.raw = async () => {
  const connection = await mysql.createConnection(config);
  try {
    await connection.query("SELECT SLEEP(0.02)");
  } finally {
    await connection.end();
  }
};

exports.managed = async () => {
  await managed.query("SELECT SLEEP(0.02)");
  await managed.end();
};
