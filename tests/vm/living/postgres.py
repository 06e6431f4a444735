import psycopg2
from psycopg2.extras import RealDictCursor

def get_pg_conn(dsn):
    """Connect to a user-provided PostgreSQL database."""
    conn = psycopg2.connect(dsn)
    return conn

def create_table(conn):
    with conn.cursor() as cur:
        cur.execute("""
            CREATE TABLE IF NOT EXISTS events (
                id SERIAL PRIMARY KEY,
                event_type TEXT NOT NULL,
                payload JSONB,
                created_at TIMESTAMPTZ DEFAULT NOW()
            )
        """)
    conn.commit()

def insert_event(conn, event_type, payload):
    with conn.cursor() as cur:
        cur.execute(
            "INSERT INTO events (event_type, payload) VALUES (%s, %s) RETURNING id",
            (event_type, psycopg2.extras.Json(payload))
        )
        conn.commit()
        return cur.fetchone()[0]

def query_events(conn, event_type=None, limit=100):
    with conn.cursor(cursor_factory=RealDictCursor) as cur:
        if event_type:
            cur.execute(
                "SELECT * FROM events WHERE event_type = %s ORDER BY created_at DESC LIMIT %s",
                (event_type, limit)
            )
        else:
            cur.execute("SELECT * FROM events ORDER BY created_at DESC LIMIT %s", (limit,))
        return cur.fetchall()

# Usage
conn = get_pg_conn("postgresql://user:pass@host:5432/dbname")
create_table(conn)
eid = insert_event(conn, "signup", {"user": "alice"})
events = query_events(conn, "signup")
conn.close()
