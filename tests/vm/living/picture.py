from PIL import Image, ImageDraw, ImageFont

# Resize
img = Image.open("photo.jpg")
img = img.resize((800, 600), Image.LANCZOS)
img.save("photo-resized.jpg", quality=90)

# Create thumbnail
img.thumbnail((200, 200))
img.save("thumb.jpg")

# Add text overlay
draw = ImageDraw.Draw(img)
draw.text((10, 10), "Watermark", fill=(255, 255, 255, 128))
img.save("watermarked.jpg")

# Convert format
img = Image.open("photo.png")
img.convert("RGB").save("photo.jpg")
