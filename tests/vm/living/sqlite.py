import sqlite3
import json

DB_PATH = "/home/agent/data/app.db"

def init_db():
    conn = sqlite3.connect(DB_PATH)
    conn.row_factory = sqlite3.Row
    conn.execute("""
        CREATE TABLE IF NOT EXISTS records (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL,
            data JSON,
            created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
        )
    """)
    conn.commit()
    return conn

def insert_record(conn, name, data):
    cur = conn.execute(
        "INSERT INTO records (name, data) VALUES (?, ?)",
        (name, json.dumps(data))
    )
    conn.commit()
    return cur.lastrowid

def query_records(conn, name_filter=None):
    if name_filter:
        rows = conn.execute(
            "SELECT * FROM records WHERE name LIKE ?",
            (f"%{name_filter}%",)
        ).fetchall()
    else:
        rows = conn.execute("SELECT * FROM records").fetchall()
    return [dict(row) for row in rows]

# Usage
conn = init_db()
rid = insert_record(conn, "test", {"key": "value"})
results = query_records(conn, "test")
print(results)
conn.close()
