# server.py — Minimal FastAPI
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
import uvicorn

app = FastAPI()

class Item(BaseModel):
    name: str
    value: float = 0.0

items_db = []

@app.get("/health")
def health():
    return {"status": "ok"}

@app.get("/api/items")
def list_items():
    return {"items": items_db}

@app.post("/api/items", status_code=201)
def create_item(item: Item):
    record = {"id": len(items_db) + 1, **item.dict()}
    items_db.append(record)
    return record

@app.get("/api/items/{item_id}")
def get_item(item_id: int):
    for item in items_db:
        if item["id"] == item_id:
            return item
    raise HTTPException(status_code=404, detail="Item not found")

if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=8000)
