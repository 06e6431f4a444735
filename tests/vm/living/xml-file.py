import xml.etree.ElementTree as ET

tree = ET.parse("data.xml")
root = tree.getroot()

for item in root.findall(".//item"):
    name = item.find("name").text
    value = item.find("value").text
    print(f"{name}: {value}")
