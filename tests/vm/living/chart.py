import pandas as pd
import matplotlib
matplotlib.use('Agg')  # Non-interactive backend (REQUIRED on headless VM)
import matplotlib.pyplot as plt

# Load data
df = pd.read_csv("/home/agent/data/sales.csv")

# Transform
df['date'] = pd.to_datetime(df['date'])
df['month'] = df['date'].dt.to_period('M')
monthly = df.groupby('month')['revenue'].sum().reset_index()
monthly['revenue_k'] = monthly['revenue'] / 1000

# Summary stats
print(f"Total revenue: ${df['revenue'].sum():,.2f}")
print(f"Average order: ${df['revenue'].mean():,.2f}")
print(f"Top month: {monthly.loc[monthly['revenue'].idxmax(), 'month']}")

# Generate chart
fig, ax = plt.subplots(figsize=(10, 6))
ax.bar(monthly['month'].astype(str), monthly['revenue_k'])
ax.set_xlabel('Month')
ax.set_ylabel('Revenue ($K)')
ax.set_title('Monthly Revenue')
ax.tick_params(axis='x', rotation=45)
plt.tight_layout()
plt.savefig('/home/agent/output/revenue-chart.png', dpi=150)
plt.close()
print("Chart saved to /home/agent/output/revenue-chart.png")
