import pandas as pd
df = pd.read_csv("data.csv")
print(df.describe())
print(f"\nShape: {df.shape}")
print(f"Columns: {list(df.columns)}")
print(f"Nulls:\n{df.isnull().sum()}")
