module memwhy/go_layout

go 1.19
