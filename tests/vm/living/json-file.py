import json

# Read
with open("config.json", "r") as f:
    data = json.load(f)

# Modify
data["version"] = "2.0"

# Write (atomic — write to temp, rename)
import tempfile, os
tmp = tempfile.NamedTemporaryFile(mode='w', dir='.', suffix='.json', delete=False)
json.dump(data, tmp, indent=2)
tmp.close()
os.rename(tmp.name, "config.json")
