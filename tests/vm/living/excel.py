# pip install openpyxl
import openpyxl

# Read
wb = openpyxl.load_workbook("report.xlsx")
ws = wb.active
for row in ws.iter_rows(min_row=2, values_only=True):
    print(row)

# Write
wb_new = openpyxl.Workbook()
ws_new = wb_new.active
ws_new.append(["ID", "Name", "Score"])
ws_new.append([1, "Alice", 95])
ws_new.append([2, "Bob", 87])
wb_new.save("output.xlsx")
