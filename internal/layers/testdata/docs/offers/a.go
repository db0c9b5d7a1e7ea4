package offers
